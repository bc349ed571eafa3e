# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-status upgrade check`: is this installation right, and ready for this release?  0
yes, 1 with warnings, 2 no.

With Trove's configuration file it also looks at what must be different beside Trove.
"""

import logging
import sys
from collections.abc import Callable, Sequence

from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_upgradecheck import upgradecheck
from sqlalchemy import exc as sa_exc

from trove_upgrade import conf as our_conf
from trove_upgrade.api import policies
from trove_upgrade.clients import nova, session
from trove_upgrade.cmd.status import (
    beside,
    brokers,
    cloud,
    edge,
    guest_keys,
    options,
    pipeline,
    schema,
    troves_policy,
)
from trove_upgrade.cmd.status.results import failure as _failure
from trove_upgrade.cmd.status.results import success as _success
from trove_upgrade.cmd.status.results import warning as _warning
from trove_upgrade.conf import compute as compute_conf
from trove_upgrade.conf import database as database_conf
from trove_upgrade.conf import fault, start
from trove_upgrade.db import engine, errors, faults, services, trove_tables
from trove_upgrade.db.migrations import gate
from trove_upgrade.db.migrations.chain import MAIN, STANDALONE
from trove_upgrade.db.release import RELEASE
from trove_upgrade.db.repositories import Repositories
from trove_upgrade.domain import exceptions, versions
from trove_upgrade.wsgi import threads

#: What a database that cannot be asked, or has no tables, raises.
_UNREADABLE = (
    errors.DatabaseRefused,
    errors.SchemaMissing,
    sa_exc.SQLAlchemyError,
    db_exception.DBError,
    cfg.Error,
)
#: They write beside the table what its rows have.
_LOUD = ('oslo_db', 'keystoneauth', 'oslo_policy', 'amqp', 'kombu', 'oslo_messaging', 'novaclient')
_SEE_DATABASE = 'See the check of the database.'


class Checks(upgradecheck.UpgradeCommands):
    """One method per check; each says what was found and what to do."""

    def __init__(self, conf: cfg.ConfigOpts | None = None) -> None:
        super().__init__()
        self.conf = conf or cfg.CONF  # what `edge` reads, too

    def check_way(self) -> upgradecheck.Result:
        """The configuration and the database agree on whether this is beside Trove."""
        configured = beside.is_beside(self.conf)
        database_conf.register_connection_opts(self.conf)
        try:
            tables = schema.table_names(self.conf.database.connection or '')
        except _UNREADABLE:
            tables = set()  # the check of the database says it
        if configured and STANDALONE.version_table in tables:
            return _failure(
                "The configuration is a Trove's, and the database was made for running alone "
                '("db sync --standalone"). '
                "Let [database] connection name Trove's database."
            )
        if not configured and trove_tables.is_troves(tables):
            return _failure(
                "The database is a real Trove's, and the configuration is not: run this command, "
                "and the taskmanagers, with --config-file and Trove's trove.conf, which has our "
                'section.'
            )
        if not tables:
            return _success(
                f'The configuration is for running {_way(configured)}; the database could not be '
                'compared with it.'
            )
        return _success(f'The configuration and the database are for running {_way(configured)}.')

    def check_options(self) -> upgradecheck.Result:
        """Each option of ours can be read, whichever service reads it."""
        return options.check(self.conf)

    def check_pipeline(self) -> upgradecheck.Result:
        """Check, beside Trove, that the filter is in the right place of Trove's paste file."""
        return self._beside(lambda: pipeline.check(beside.paste_file(self.conf)))

    def check_release(self) -> upgradecheck.Result:
        """Check, beside Trove, that Trove is of a release that was tried."""
        return self._beside(beside.check_release)

    def check_topics(self) -> upgradecheck.Result:
        """Check, beside Trove, that both agents of a guest listen apart."""
        return self._beside(lambda: beside.check_topics(self.conf))

    def check_status_writer(self) -> upgradecheck.Result:
        """Check, beside Trove, that only its conductor writes the status of services."""
        return self._beside(lambda: beside.check_status_writer(self.conf))

    def check_limits(self) -> upgradecheck.Result:
        """Check, beside Trove, that no limit on requests or bodies is too low for upgrades."""
        return self._beside(lambda: beside.check_limits(self.conf))

    def check_filter(self) -> upgradecheck.Result:
        """Check, beside Trove, that a process of its API has the filter loaded."""
        return self._beside(self._filter_runs)

    def _filter_runs(self) -> upgradecheck.Result:
        try:
            known = self._known(services.FILTER)
        except _UNREADABLE:
            return _warning(
                "This check cannot tell whether Trove's API has the filter loaded: the table "
                f'cannot be read. {_SEE_DATABASE}'
            )
        if not known:
            return _warning(
                "No process of Trove's API has said that it has the filter loaded. "
                "Restart Trove's API after the change of its paste file, and look into its log."
            )
        return _success(
            f"{_count(len(known), 'process', 'es')} of Trove's API {_have(known)} the filter "
            f'loaded: {_hosts(known)}.'
        )

    def _beside(self, check: Callable[[], upgradecheck.Result]) -> upgradecheck.Result:
        return (
            check()
            if beside.is_beside(self.conf)
            else _success('There is nothing to look at: the configuration is for running alone.')
        )

    def check_database(self) -> upgradecheck.Result:
        """The database is one that services take, and has our tables and Trove's."""
        try:
            engine.require_server_database(self.conf)
            tables = schema.table_names(self.conf.database.connection)
        except _UNREADABLE as error:
            known = faults.explain(
                error, None if isinstance(error, cfg.Error) else self.conf.database.connection
            )
            return _failure(known.message if known else str(error))
        return schema.tables_result(tables, engine.backend(self.conf))

    def check_schema(self) -> upgradecheck.Result:
        """The schema is this release's, or expanded for it, or that of the release before; what is
        left to run is a warning.
        """
        database = self._database()
        try:
            with database.read() as connection:
                return schema.schema_result(connection)
        except _UNREADABLE:
            return _warning(
                'This check cannot tell of which version the database is: it cannot be read. '
                f'{_SEE_DATABASE}'
            )
        except errors.SchemaFromTheFuture as error:
            return _failure(error.message)
        finally:
            database.dispose()

    def check_services(self) -> upgradecheck.Result:
        """Check that no service of an earlier release is listed: "db contract" would wait for
        it.
        """
        database = self._database()
        try:
            listed = gate.listed(database.engine)
            older = gate.older_services(listed, RELEASE, MAIN.releases())
        except _UNREADABLE:
            return _warning(
                'This check cannot tell which services run: their table cannot be read. '
                f'{_SEE_DATABASE}'
            )
        finally:
            database.dispose()
        if older:
            return _warning(
                f'Services of an earlier release than {RELEASE} are listed: '
                f'{"; ".join(str(one) for one in older)}. "trove-upgrade-manage db contract" waits '
                'for them. Stop or upgrade each; where it is certain that one is gone: '
                '"trove-upgrade-manage service forget ID".'
            )
        return _success(
            f'{_count(len(listed), "service")} {"is" if len(listed) == 1 else "are"} listed, none '
            f'of an earlier release than {RELEASE}.'
        )

    def check_guest_keys(self) -> upgradecheck.Result:
        """Guests are spoken to under a key of their own."""
        found = Repositories.from_conf(self.conf, waits_for_server=False)
        try:
            return guest_keys.check(self.conf, found, MAIN.releases(), RELEASE)
        except _UNREADABLE:
            return _warning(
                f'Which guests have a key cannot be told: the table cannot be read. {_SEE_DATABASE}'
            )
        finally:
            found.database.dispose()

    def check_transport(self) -> upgradecheck.Result:
        """A broker of each URL that a taskmanager uses lets us in."""
        return brokers.check(self.conf)

    def check_version_rules(self) -> upgradecheck.Result:
        """The operator's table of versions can be read."""
        try:
            versions.Rules.load(self.conf.trove_upgrade.version_rules_file)
        except versions.RulesError as error:
            return _failure(str(error))
        own = self.conf.trove_upgrade.version_rules_file
        return _success(
            f'The shipped rules and those of {own} were read.'
            if own
            else 'The shipped rules were read; version_rules_file is not set.'
        )

    def check_policy(self) -> upgradecheck.Result:
        """The policy file can be read and names only rules that exist."""
        enforcer = policies.new_enforcer(self.conf)
        policies.load(enforcer)  # what is wrong ends at the edge, in its own words
        named = policies.changed(enforcer)
        unknown = [name for name in named if name not in enforcer.registered_rules]
        if unknown:
            return _warning(
                'The policy file names rules that do not exist and change nothing: '
                + ', '.join(unknown)
                + '. Look their names up in the policy reference.'
            )
        path = self.conf.find_file(self.conf.trove_upgrade.policy_file)
        if path is None and not named:
            return _success(
                f'The default rules hold: there is no file {self.conf.trove_upgrade.policy_file}.'
            )
        return _success(
            f'{path or "[oslo_policy] policy_dirs"} was read and names only rules that exist: '
            f'{", ".join(named) or "none of ours"}.'
        )

    def check_troves_policy(self) -> upgradecheck.Result:
        """Check, beside Trove, that its own policy refuses no user that ours lets upgrade."""
        return self._beside(lambda: troves_policy.check(self.conf))

    def check_service_credentials(self) -> upgradecheck.Result:
        """The service user is there: without it no server can be rebuilt."""
        session.require(self.conf)  # what is missing ends at the edge, in its own words
        given = self.conf[compute_conf.CREDENTIALS_GROUP]
        return _success(
            f'The service user is {given.username} of project '
            f'{given.project_id or given.project_name}, at {given.auth_url}.'
        )

    def check_nova(self) -> upgradecheck.Result:
        """The service user is let in, and may do what an upgrade needs."""
        try:
            session.require(self.conf)
        except exceptions.TroveUpgradeError:
            return _warning(
                'Nova was not asked: the service user cannot log in. See the check of the service '
                'credentials.'
            )
        wanted = nova.parse_version(self.conf.trove_upgrade.compute_max_microversion)
        return cloud.check(nova.client_factory(self.conf, timeout_seconds=cloud.SECONDS), wanted)

    def check_taskmanager(self) -> upgradecheck.Result:
        """One has been seen lately and listens: without it accepted upgrades wait, and guests are
        not heard.
        """
        try:
            alive = [one for one in self._known(services.TASKMANAGER) if not one.is_silent]
        except _UNREADABLE:
            return _warning(
                'This check cannot tell whether a taskmanager works: its table cannot be read. '
                f'{_SEE_DATABASE}'
            )
        if not alive:
            return _warning(
                f'No taskmanager was seen in the last {services.SILENT_SECONDS:.0f} s: upgrades '
                f'wait, and no guest is heard. Start {services.TASKMANAGER}, or look into its log; '
                'trove-upgrade-manage service list shows what was seen.'
            )
        return self._taskmanager_listens(alive)

    def _taskmanager_listens(self, alive: Sequence[services.Service]) -> upgradecheck.Result:
        return brokers.check_consumers(
            self.conf,
            f'{_count(len(alive), "taskmanager")} {_have(alive)} been seen: {_hosts(alive)}',
        )

    def _known(self, binary: str) -> list[services.Service]:
        database = self._database()
        try:
            return [one for one in services.Services(database).list() if one.binary == binary]
        finally:
            database.dispose()

    def _database(self) -> engine.Database:
        return engine.Database.from_conf(self.conf, waits_for_server=False)

    _upgrade_checks = tuple(
        edge.guarded(name, check)
        for name, check in (
            ('Way to run', check_way),
            ('Options', check_options),
            ('Database', check_database),
            ('Schema', check_schema),
            ('Services', check_services),
            ("Filter in Trove's pipeline", check_pipeline),
            ("Filter in Trove's API", check_filter),
            ('Release of Trove', check_release),
            ('Topics of guests', check_topics),
            ('Status of services', check_status_writer),
            ('Limits', check_limits),
            ('Version rules', check_version_rules),
            ('Policy', check_policy),
            ('Policy of Trove', check_troves_policy),
            ('Service credentials', check_service_credentials),
            ('Nova', check_nova),
            ('Message broker', check_transport),
            ("Guests' keys", check_guest_keys),
            ('Taskmanager', check_taskmanager),
        )
    )


def _way(beside_trove: bool) -> str:
    return 'beside Trove' if beside_trove else 'alone'


def _count(number: int, noun: str, plural: str = 's') -> str:
    return f'{number} {noun}' if number == 1 else f'{number} {noun}{plural}'


def _have(known: Sequence[services.Service]) -> str:
    return 'has' if len(known) == 1 else 'have'


def _hosts(known: Sequence[services.Service]) -> str:
    return ', '.join(sorted({one.host for one in known}))


def main() -> int:
    """The exit code is oslo.upgradecheck's: 0, 1 with warnings, 2 with failures, 255 on an
    error.
    """
    threads.choose()  # the check of the broker imports oslo.messaging, which would choose otherwise
    our_conf.register_opts(cfg.CONF)
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with start.reading():  # what the checks raise does not come out of it
            return int(upgradecheck.main(cfg.CONF, start.PROJECT, Checks(cfg.CONF)))
    except fault.ConfigurationInvalid as error:
        print(faults.line(error), file=sys.stderr)
        return int(upgradecheck.Code.FAILURE)

# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-status upgrade check`: is this installation right, and ready for this release?  0 yes, 1 with warnings, 2 no.

With Trove's configuration file it also looks at what must be different beside Trove.
"""
import logging
import sys
from collections.abc import Callable

from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_policy import policy
from oslo_upgradecheck import upgradecheck
from sqlalchemy import Connection, inspect
from sqlalchemy import exc as sa_exc

from trove_upgrade import conf as our_conf
from trove_upgrade.api import policies
from trove_upgrade.clients import nova
from trove_upgrade.cmd.status import beside, cloud, pipeline
from trove_upgrade.cmd.status.results import failure as _failure
from trove_upgrade.cmd.status.results import success as _success
from trove_upgrade.cmd.status.results import warning as _warning
from trove_upgrade.conf import compute as compute_conf
from trove_upgrade.conf import database as database_conf
from trove_upgrade.conf import fault
from trove_upgrade.db import engine, errors, models, services, trove_tables
from trove_upgrade.db.migrations import gate, position
from trove_upgrade.db.migrations.chain import MAIN, STANDALONE, Chain
from trove_upgrade.db.migrations.runner import TROVES_VERSION_TABLES
from trove_upgrade.db.release import RELEASE
from trove_upgrade.domain import versions
from trove_upgrade.wsgi import threads

_BROKER_SECONDS = 5.0
#: What a database that cannot be asked raises.
_UNREADABLE = (errors.DatabaseRefused, sa_exc.SQLAlchemyError, db_exception.DBError, cfg.Error)
_SEE_DATABASE = 'See the check of the database.'


class Checks(upgradecheck.UpgradeCommands):
    """One method per check; each says what was found and what to do."""

    def __init__(self, conf: cfg.ConfigOpts | None = None) -> None:
        super().__init__()
        self._conf = conf or cfg.CONF

    def check_way(self) -> upgradecheck.Result:
        """The configuration and the database agree on whether this is beside Trove."""
        configured = beside.is_beside(self._conf)
        database_conf.register_connection_opts(self._conf)
        try:
            tables = table_names(self._conf.database.connection or '')
        except _UNREADABLE:
            tables = set()    # the check of the database says it
        if configured and STANDALONE.version_table in tables:
            return _failure('The configuration is a Trove\'s, and the database was made for running alone ("db sync --standalone"). Let [database] '
                            'connection name Trove\'s database.')
        if not configured and tables & TROVES_VERSION_TABLES and trove_tables.instances.name in tables:
            return _failure('The database is a real Trove\'s, and the configuration is not: run this command, and the taskmanagers, with '
                            '--config-file and Trove\'s trove.conf, which has our section.')
        return _success('beside Trove' if configured else 'alone')

    def check_pipeline(self) -> upgradecheck.Result:
        """Beside Trove: the filter is in the right place of Trove's paste file."""
        return self._beside(lambda: pipeline.check(beside.paste_file(self._conf)))

    def check_release(self) -> upgradecheck.Result:
        """Beside Trove: it is a release that was tried."""
        return self._beside(beside.check_release)

    def check_topics(self) -> upgradecheck.Result:
        """Beside Trove: both agents of a guest listen apart."""
        return self._beside(lambda: beside.check_topics(self._conf))

    def check_status_writer(self) -> upgradecheck.Result:
        """Beside Trove: only its conductor writes the status of services."""
        return self._beside(lambda: beside.check_status_writer(self._conf))

    def check_limits(self) -> upgradecheck.Result:
        """Beside Trove: limits of requests."""
        return self._beside(lambda: beside.check_limits(self._conf))

    def check_filter(self) -> upgradecheck.Result:
        """Beside Trove: a process of its API has the filter loaded."""
        return self._beside(self._filter_runs)

    def _filter_runs(self) -> upgradecheck.Result:
        try:
            known = self._known(services.FILTER)
        except _UNREADABLE:
            return _warning(f'Nobody can tell whether Trove\'s API has the filter loaded: the table cannot be read. {_SEE_DATABASE}')
        if not known:
            return _warning('No process of Trove\'s API has said that it has the filter loaded. Restart Trove\'s API after the change of its paste '
                            'file, and look into its log.')
        return _success()

    def _beside(self, check: Callable[[], upgradecheck.Result]) -> upgradecheck.Result:
        return check() if beside.is_beside(self._conf) else _success('alone: nothing to look at')

    def check_database(self) -> upgradecheck.Result:
        """The database is one that services take, and has our tables and Trove's."""
        try:
            engine.require_server_database(self._conf)
            tables = table_names(self._conf.database.connection)
        except errors.DatabaseRefused as error:
            return _failure(str(error))
        except cfg.Error as error:
            return _failure(f'The configuration cannot be read: {fault.describe(error)}.')
        except (sa_exc.SQLAlchemyError, db_exception.DBError) as error:
            return _failure(f'The database cannot be asked: {error.args[0]}. Look at [database] connection.')
        return missing_tables(tables)

    def check_schema(self) -> upgradecheck.Result:
        """The schema is this release's, or expanded for it; what is left to run is a warning."""
        database = self._database()
        try:
            with database.read() as connection:
                return schema_result(connection)
        except _UNREADABLE:
            return _warning(f'Nobody can tell of which version the database is: it cannot be read. {_SEE_DATABASE}')
        except errors.SchemaFromTheFuture as error:
            return _failure(error.message)
        finally:
            database.dispose()

    def check_services(self) -> upgradecheck.Result:
        """None of an earlier release is listed: "db contract" would wait for it."""
        database = self._database()
        try:
            older = gate.older_services(gate.listed(database.engine), RELEASE, MAIN.releases())
        except _UNREADABLE:
            return _warning(f'Nobody can tell which services run: their table cannot be read. {_SEE_DATABASE}')
        finally:
            database.dispose()
        if older:
            return _warning(f'Services of an earlier release than {RELEASE} are listed: {"; ".join(str(one) for one in older)}. "trove-upgrade-'
                            'manage db contract" waits for them. Stop or upgrade each; where it is certain that one is gone: '
                            '"trove-upgrade-manage service forget ID".')
        return _success()

    def check_transport(self) -> upgradecheck.Result:
        """A broker of [DEFAULT] transport_url lets us in."""
        from trove_upgrade.rpc import broker  # not before `main` has chosen the threads
        try:
            brokers = broker.ask(self._conf, _BROKER_SECONDS)
        except broker.BrokerUnknown as error:
            return _failure(f'The message broker cannot be asked: [DEFAULT] transport_url is wrong, {error}.')
        refused = '; '.join(f'{one.address}: {one.error}' for one in brokers if one.error)
        if not refused:
            return _success()
        if all(one.error for one in brokers):
            return _failure(f'No message broker of [DEFAULT] transport_url lets us in: {refused}. Guests cannot be asked anything. Start the '
                            'broker, or mend address, user, password and virtual host in transport_url.')
        return _warning(f'Not every message broker of [DEFAULT] transport_url lets us in: {refused}. Start it, or mend its part of transport_url.')

    def check_version_rules(self) -> upgradecheck.Result:
        """The operator's table of versions can be read."""
        try:
            versions.Rules.load(self._conf.trove_upgrade.version_rules_file)
        except versions.RulesError as error:
            return _failure(str(error))
        return _success()

    def check_policy(self) -> upgradecheck.Result:
        """The policy file can be read and names only rules that exist."""
        enforcer = policies.new_enforcer(self._conf)
        try:
            enforcer.load_rules()
        except (policy.InvalidDefinitionError, OSError, ValueError) as error:
            return _failure(f'The policy cannot be read: {error}. Mend [trove_upgrade] policy_file.')
        unknown = sorted(name for name in enforcer.rules if name.startswith('trove_upgrade:') and name not in enforcer.registered_rules)
        if unknown:
            return _warning('The policy file names rules that do not exist and change nothing: ' + ', '.join(unknown)
                            + '. Look their names up in the policy reference.')
        return _success()

    def check_service_credentials(self) -> upgradecheck.Result:
        """The service user is there: without it no server can be rebuilt."""
        compute_conf.register_credentials(self._conf)
        given = self._conf[compute_conf.CREDENTIALS_GROUP]
        missing = [name for name in ('auth_url', 'username', 'password') if not given[name]]
        if not (given.project_id or given.project_name):
            missing.append('project_name')
        if missing:
            return _failure(f'[{compute_conf.CREDENTIALS_GROUP}] lacks {", ".join(missing)}: Nova cannot be asked to rebuild anything. '
                            'Set them to the user whose project has the guests\' servers.')
        return _success()

    def check_nova(self) -> upgradecheck.Result:
        """The service user is let in, and may do what an upgrade needs."""
        compute_conf.register_credentials(self._conf)
        if not self._conf[compute_conf.CREDENTIALS_GROUP].auth_url:
            return _warning('Nobody can tell what Nova says: there is no service user. See the check of the service credentials.')
        wanted = nova.parse_version(self._conf.trove_upgrade.compute_max_microversion)
        return cloud.check(nova.client_factory(self._conf, timeout_seconds=cloud.SECONDS), wanted)

    def check_taskmanager(self) -> upgradecheck.Result:
        """One has been seen lately and listens: without it upgrades are accepted and nothing happens."""
        try:
            alive = [one for one in self._known(services.TASKMANAGER) if not one.is_silent]
        except _UNREADABLE:
            return _warning(f'Nobody can tell whether a taskmanager works: its table cannot be read. {_SEE_DATABASE}')
        if not alive:
            return _warning(f'No taskmanager was seen in the last {services.SILENT_SECONDS:.0f} s: upgrades are accepted and wait. Start '
                            f'{services.TASKMANAGER}, or look into its log; trove-upgrade-manage service list shows what was seen.')
        return self._taskmanager_listens()

    def _taskmanager_listens(self) -> upgradecheck.Result:
        from trove_upgrade.rpc import broker
        topic = self._conf.trove_upgrade.taskmanager_topic
        try:
            listening = broker.consumers(self._conf, topic, _BROKER_SECONDS)
        except broker.BrokerUnknown:
            listening = None    # the check of the broker says it
        if listening == 0:
            return _failure(f'A taskmanager runs, and nobody listens on topic "{topic}" of the broker of [DEFAULT] transport_url: it has another broker '
                            'or another taskmanager_topic. Heartbeats of guests are lost. Give every service the same configuration.')
        return _success()

    def _known(self, binary: str) -> list[services.Service]:
        database = self._database()
        try:
            return [one for one in services.Services(database).list() if one.binary == binary]
        finally:
            database.dispose()

    def _database(self) -> engine.Database:
        return engine.Database.from_conf(self._conf, waits_for_server=False)

    _upgrade_checks = (
        ('Way to run', check_way), ('Database', check_database), ('Schema', check_schema), ('Services', check_services),
        ('Filter in Trove\'s pipeline', check_pipeline), ('Filter in Trove\'s API', check_filter), ('Release of Trove', check_release),
        ('Topics of guests', check_topics), ('Status of services', check_status_writer), ('Limits', check_limits),
        ('Version rules', check_version_rules), ('Policy', check_policy), ('Service credentials', check_service_credentials), ('Nova', check_nova),
        ('Message broker', check_transport), ('Taskmanager', check_taskmanager))


def table_names(url: str) -> set[str]:
    """What the database has.  One attempt: whoever asks wants to know now.

    :raises DBError, SQLAlchemyError: it cannot be asked.
    """
    database = engine.Database.from_url(url, max_retries=1, retry_interval=0)    # 0 would look at nothing before it is used
    try:
        return set(inspect(database.engine).get_table_names())
    finally:
        database.dispose()


def schema_result(connection: Connection, chain: Chain = MAIN) -> upgradecheck.Result:
    """Where the database is between the releases of `chain`.

    :raises SchemaFromTheFuture: it holds a revision that this release does not know.
    """
    now = position.read(connection, chain)
    if now.next is None:
        return _success()
    text = f'The database is at {now.version}: {now.describe()}. Run "trove-upgrade-manage db {now.next}"'
    if now.next is position.Phase.EXPAND:
        return _failure(f'{text} before any service of this release starts; those of the release before go on working.')
    if now.next is position.Phase.MIGRATE:
        return _warning(f'{text}; services of both releases go on working.')
    return _warning(f'{text} once no service of an earlier release runs.')


def missing_tables(tables: set[str]) -> upgradecheck.Result:
    """What is not among `tables`."""
    ours = sorted(set(models.METADATA.tables) - tables)
    troves = sorted(set(trove_tables.METADATA.tables) - tables)
    if ours:
        command = 'expand' if set(models.METADATA.tables) & tables else 'sync'
        return _failure(f'Tables are missing: {", ".join(ours)}. Run "trove-upgrade-manage db {command}".')
    if troves:
        return _failure(f'Tables of Trove are missing: {", ".join(troves)}. Look whether [database] connection names Trove\'s database; where '
                        'no Trove is, run "trove-upgrade-manage db sync --standalone".')
    return _success()


def main() -> int:
    """The exit code is oslo.upgradecheck's: 0, 1 with warnings, 2 with failures, 255 on an error."""
    threads.choose()    # the check of the broker imports oslo.messaging, which would choose otherwise
    our_conf.register_opts(cfg.CONF)
    logging.getLogger('oslo_db').setLevel(logging.ERROR)    # it counts attempts; the result says all
    return int(upgradecheck.main(cfg.CONF, 'trove-upgrade', Checks(cfg.CONF)))


if __name__ == '__main__':
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-status upgrade check`: is this host ready to run the new release?  0 yes, 1 with warnings, 2 no."""
import logging
import sys

from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_policy import policy
from oslo_upgradecheck import upgradecheck
from sqlalchemy import exc as sa_exc
from sqlalchemy import inspect

from trove_upgrade import conf as our_conf
from trove_upgrade.api import policies
from trove_upgrade.conf import compute as compute_conf
from trove_upgrade.db import engine, errors, models, services, trove_tables
from trove_upgrade.domain import versions


class Checks(upgradecheck.UpgradeCommands):
    """One method per check; each says what was found and what to do."""

    def __init__(self, conf: cfg.ConfigOpts | None = None) -> None:
        super().__init__()
        self._conf = conf or cfg.CONF

    def check_database(self) -> upgradecheck.Result:
        """The database is one that services take, and has our tables and Trove's."""
        try:
            engine.require_server_database(self._conf)
            tables = table_names(self._conf.database.connection)
        except errors.DatabaseRefused as error:
            return _failure(str(error))
        except (sa_exc.SQLAlchemyError, db_exception.DBError) as error:
            return _failure(f'The database cannot be asked: {error.args[0]}. Look at [database] connection.')
        return missing_tables(tables)

    def check_version_rules(self) -> upgradecheck.Result:
        """The operator's table of versions can be read."""
        try:
            versions.Rules.load(self._conf.trove_upgrade.version_rules_file)
        except versions.RulesError as error:
            return _failure(str(error))
        return upgradecheck.Result(upgradecheck.Code.SUCCESS)

    def check_policy(self) -> upgradecheck.Result:
        """The policy file can be read and names only rules that exist."""
        enforcer = policies.new_enforcer(self._conf)
        try:
            enforcer.load_rules()
        except (policy.InvalidDefinitionError, OSError, ValueError) as error:
            return _failure(f'The policy cannot be read: {error}. Mend [trove_upgrade] policy_file.')
        unknown = sorted(name for name in enforcer.rules if name.startswith('trove_upgrade:') and name not in enforcer.registered_rules)
        if unknown:
            return upgradecheck.Result(upgradecheck.Code.WARNING, 'The policy file names rules that do not exist and change nothing: '
                                       + ', '.join(unknown) + '. Look their names up in the policy reference.')
        return upgradecheck.Result(upgradecheck.Code.SUCCESS)

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
        return upgradecheck.Result(upgradecheck.Code.SUCCESS)

    def check_taskmanager(self) -> upgradecheck.Result:
        """One has been seen lately: without it upgrades are accepted and nothing happens."""
        database = engine.Database.from_conf(self._conf, waits_for_server=False)
        try:
            alive = [one for one in services.Services(database).list() if one.binary == services.TASKMANAGER and not one.is_silent]
        except (errors.DatabaseRefused, sa_exc.SQLAlchemyError, db_exception.DBError):
            return _warning('Nobody can tell whether a taskmanager works: its table cannot be read. See the check of the database.')
        finally:
            database.dispose()
        if not alive:
            return _warning(f'No taskmanager was seen in the last {services.SILENT_SECONDS:.0f} s: upgrades are accepted and wait. Start '
                            f'{services.TASKMANAGER}, or look into its log; trove-upgrade-manage service list shows what was seen.')
        return upgradecheck.Result(upgradecheck.Code.SUCCESS)

    _upgrade_checks = (('Database', check_database), ('Version rules', check_version_rules), ('Policy', check_policy),
                       ('Service credentials', check_service_credentials), ('Taskmanager', check_taskmanager))


def table_names(url: str) -> set[str]:
    """What the database has.  One attempt: whoever asks wants to know now.

    :raises DBError, SQLAlchemyError: it cannot be asked.
    """
    database = engine.Database.from_url(url, max_retries=0)
    try:
        return set(inspect(database.engine).get_table_names())
    finally:
        database.dispose()


def missing_tables(tables: set[str]) -> upgradecheck.Result:
    """What is not among `tables`."""
    ours = sorted(set(models.METADATA.tables) - tables)
    troves = sorted(set(trove_tables.METADATA.tables) - tables)
    if ours:
        return _failure(f'Tables are missing: {", ".join(ours)}. Run "trove-upgrade-manage db sync".')
    if troves:
        return _failure(f'Tables of Trove are missing: {", ".join(troves)}. Look whether [database] connection names Trove\'s database; where '
                        'no Trove is, run "trove-upgrade-manage db sync --standalone".')
    return upgradecheck.Result(upgradecheck.Code.SUCCESS)


def _warning(text: str) -> upgradecheck.Result:
    return upgradecheck.Result(upgradecheck.Code.WARNING, text)


def _failure(text: str) -> upgradecheck.Result:
    return upgradecheck.Result(upgradecheck.Code.FAILURE, text)


def main() -> int:
    """The exit code is oslo.upgradecheck's: 0, 1 with warnings, 2 with failures, 255 on an error."""
    our_conf.register_opts(cfg.CONF)
    logging.getLogger('oslo_db').setLevel(logging.ERROR)    # it counts attempts; the result says all
    return int(upgradecheck.main(cfg.CONF, 'trove-upgrade', Checks(cfg.CONF)))


if __name__ == '__main__':
    sys.exit(main())

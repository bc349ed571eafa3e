# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-taskmanager`: moves upgrades forward, one durable step at a time.

One process; run several of them, on several hosts, for more.  They share the rows by leases.  A
configuration that it cannot work with, or a database without its tables, ends it at its start: one
line on stderr with a code, exit code 1.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from trove_upgrade import signals

if TYPE_CHECKING:
    from oslo_config import cfg

#: Between two looks for a database that is away at the start.
_LOOK_SECONDS = 2.0


def main(argv: Sequence[str] | None = None) -> int:
    """Work until SIGTERM or Ctrl-C."""
    from trove_upgrade.wsgi import threads

    threads.choose()  # before anything imports oslo.messaging: that would choose eventlet, for good
    from oslo_config import cfg
    from oslo_log import log
    from oslo_service import systemd

    from trove_upgrade import conf as our_conf
    from trove_upgrade.conf import start
    from trove_upgrade.db import faults, guest_security
    from trove_upgrade.domain import exceptions, versions
    from trove_upgrade.taskmanager import service

    conf = cfg.CONF
    log.register_options(conf)
    our_conf.register_opts(conf)
    faults.log_once()
    try:
        start.read(conf, argv, program=service.BINARY)
        start.open_log(conf)
        # not sooner: until here a signal ends even the reading of a pipe that nothing comes out of
        told = signals.told()
        # oslo.db counts attempts; our own lines have the cause
        logging.getLogger('oslo_db.sqlalchemy.engines').setLevel(logging.ERROR)
        running = service.compose(conf)
        guest_security.require_list(conf, service.BINARY)
        if not _wait_for(lambda: _check_database(conf), told):
            return 0
    except versions.RulesError as error:
        return _refused(f'ERROR VERSION_RULES_INVALID: {error}')
    except (exceptions.TroveUpgradeError, cfg.Error) as error:
        return _refused(faults.line(error))
    running.start()
    systemd.notify_once()
    told.wait()
    running.stop()
    return 0


def _check_database(conf: 'cfg.ConfigOpts') -> None:
    """Look into the database for what a taskmanager needs there. Raises as its parts do, and with a
    code.
    """
    from oslo_db import exception as db_exc
    from sqlalchemy import exc as sa_exc

    from trove_upgrade.db import faults, guest_security
    from trove_upgrade.db.repositories import Repositories
    from trove_upgrade.taskmanager import service

    service.require_installation(conf)
    repositories = Repositories.from_conf(conf, waits_for_server=False)
    try:
        guest_security.require_guest_keys(conf, repositories, service.BINARY)
    except (db_exc.DBError, sa_exc.SQLAlchemyError) as error:
        raise faults.explain(error, conf.database.connection) or error from error
    finally:
        repositories.database.dispose()


def _wait_for(check: Callable[[], None], told: signals.Told) -> bool:
    """Wait until the database answers; tell whether it has, before the process is told to end.
    Raises what no wait can mend.
    """
    from trove_upgrade.db import errors
    from trove_upgrade.domain import logs

    said = ''
    while not told.wait(0):
        try:
            check()
        except errors.AccessRefused:
            raise
        except errors.DatabaseUnreachable as error:
            if error.message != said:
                logs.get_logger(__name__).warning(
                    'The start waits for the database: %s: %s', error.code, error.message
                )
            said = error.message
            told.wait(_LOOK_SECONDS)
        else:
            return True
    return False


def _refused(line: str) -> int:
    print(' '.join(line.split()), file=sys.stderr)
    return 1

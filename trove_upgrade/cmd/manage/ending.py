# SPDX-License-Identifier: Apache-2.0
"""How a command ends: with its exit code, and where it failed, one line on stderr.

What a signal or a reader that went away has ended has the code that a shell would give it: 128 and the signal's number.
"""
import contextlib
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator

import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import exception as db_exc

from trove_upgrade.cmd.manage.context import UsageError
from trove_upgrade.conf import fault
from trove_upgrade.db import address
from trove_upgrade.db.migrations.exit_codes import ExitCode
from trove_upgrade.domain import exceptions

_SIGNAL = 128
_STAYS = 'What it had finished stays, and the same command carries on.'
#: They write what the error that follows says, with a traceback.
_LOUD = ('oslo_db', 'sqlalchemy.pool')
#: MariaDB and MySQL: no such user or password, no right to the database, no such database.
_MYSQL_NO_WAY_IN = frozenset({1044, 1045, 1049, 1130, 1698})
_MYSQL_NO_TABLE = 1146
_POSTGRESQL_NO_TABLE = '42P01'


class Terminated(SystemExit):
    """SIGTERM: what is held is given back on the way out."""


def run(command: Callable[[], int | None], conf: cfg.ConfigOpts | None = None) -> int:
    """The exit code of `command`, whatever happens in it.  The passwords of `conf` are kept out of what is printed."""
    try:
        with _terminable():
            code = int(command() or 0)
            sys.stdout.flush()    # here, where a full disk or a reader that went away is still an error
    except (UsageError, exceptions.TroveUpgradeError, db_exc.DBError, sa.exc.SQLAlchemyError, cfg.Error, OSError) as error:
        return _refused(error, conf)
    except (KeyboardInterrupt, Terminated) as error:
        word, number = ('Terminated', signal.SIGTERM) if isinstance(error, Terminated) else ('Interrupted', signal.SIGINT)
        return _line(f'{word}. {_STAYS}', _SIGNAL + number)
    return code


def _refused(error: Exception, conf: cfg.ConfigOpts | None) -> int:
    match error:
        case UsageError():
            return _line(f'trove-upgrade-manage: {error}', ExitCode.USAGE)
        case cfg.Error():
            return _line(f'trove-upgrade-manage: the configuration cannot be read: {fault.describe(error)}', ExitCode.USAGE)
        case exceptions.TroveUpgradeError():
            return _line(f'ERROR {error.code}: {error.message}', int(getattr(error, 'exit_code', ExitCode.ERROR)))
        case BrokenPipeError():
            _drop_output()
            return _SIGNAL + signal.SIGPIPE
        case OSError():
            _drop_output()
            return _line(f'ERROR SYSTEM_ERROR: this host refused: {error}', ExitCode.ERROR)
        case _:
            return _line(address.without_secrets(describe(error), conf.database.connection if conf is not None else None), ExitCode.ERROR)


def quiet() -> None:
    """For the process: libraries do not write beside the one line."""
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if not sys.warnoptions:
        warnings.simplefilter('ignore')


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(_signal: int, _frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)    # the way out is not left half way
        raise Terminated
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _line(text: str, code: int) -> int:
    with contextlib.suppress(OSError):    # nobody reads it; the code says it, too
        print(' '.join(text.split()), file=sys.stderr, flush=True)
    return int(code)


def _drop_output() -> None:
    """What is still in the buffer goes nowhere: the interpreter would try it once more at its end, and complain."""
    with contextlib.suppress(OSError, ValueError):    # ValueError: no file of the system's, as in tests
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def describe(error: Exception) -> str:
    """What a database, or the way to it, has answered, and what to do."""
    driver = _driver(error)
    number = driver.args[0] if driver is not None and driver.args else None
    state = getattr(driver, 'sqlstate', None) or getattr(driver, 'pgcode', None)
    if isinstance(error, db_exc.DBNonExistentTable) or number == _MYSQL_NO_TABLE or state == _POSTGRESQL_NO_TABLE:
        table = getattr(error, 'table', None)
        named = f'table {table} is not in the database' if table else f'a table is not in the database ({_said(error)})'
        return (f'ERROR SCHEMA_MISSING: {named}. Run "trove-upgrade-manage db sync" first (with --standalone where there is no Trove).')
    refuses_url = str(number).startswith('invalid dsn')    # psycopg2: it takes it for an error of a statement
    if isinstance(error, db_exc.DBConnectionError | db_exc.DBNonExistentDatabase) or number in _MYSQL_NO_WAY_IN or refuses_url:
        return (f'ERROR DATABASE_ERROR: the database that [database] connection names cannot be reached: {_said(error)}. Look whether its server '
                'runs, and at user, password, host and name of the database there.')
    return (f'ERROR DATABASE_ERROR: the database that [database] connection names refused a statement: {_said(error)}. What had been finished '
            'stays; the same command carries on when the cause is mended.')


def _driver(error: BaseException) -> BaseException | None:
    """The driver's own error, inside oslo.db's around SQLAlchemy's."""
    error = getattr(error, 'inner_exception', None) or error
    return getattr(error, 'orig', None)


def _said(error: BaseException) -> str:
    """The first line of what the driver says; the others are the statement, and links."""
    driver = _driver(error)
    if driver is None:
        return str(error).splitlines()[0].rstrip('.') if str(error) else type(error).__name__
    if len(driver.args) > 1 and isinstance(driver.args[0], int):
        return f'{driver.args[1]} ({driver.args[0]})'
    return str(driver).partition('\n')[0].strip().rstrip('.') or type(driver).__name__

# SPDX-License-Identifier: Apache-2.0
"""End of a command: with its exit code, and where it failed, one line on stderr.

What a signal or a reader that went away has ended has the code that a shell would give it: 128 and
the signal's number.
"""

import contextlib
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable

import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import exception as db_exc

from trove_upgrade import signals
from trove_upgrade.cmd.console.printing import UsageError, print_line
from trove_upgrade.conf import fault
from trove_upgrade.db import faults
from trove_upgrade.db.migrations.exit_codes import ExitCode
from trove_upgrade.domain import exceptions

_SIGNAL = 128
#: What an interrupted command leaves, and what goes on with it.
STAYS = 'What it had finished stays, and the same command carries on.'
#: They write what the error that follows says, with a traceback.
_LOUD = ('oslo_db', 'sqlalchemy.pool')


def run(
    command: Callable[[], int | None],
    program: str,
    conf: cfg.ConfigOpts | None = None,
    stays: str = STAYS,
) -> int:
    """The exit code of `command`, whatever happens in it.  The passwords of `conf` are kept out of
    what is printed.
    """
    try:
        with signals.raised():
            code = int(command() or 0)
            # here, where a full disk or a reader that went away is still an error
            sys.stdout.flush()
    except (
        UsageError,
        exceptions.TroveUpgradeError,
        db_exc.DBError,
        sa.exc.SQLAlchemyError,
        cfg.Error,
        OSError,
    ) as error:
        return _refused(error, program, conf)
    except signals.Interrupted as end:
        return _line(f'{end.word.capitalize()}. {stays}', end.code)
    return code


def _refused(error: Exception, program: str, conf: cfg.ConfigOpts | None) -> int:
    match error:
        case UsageError():
            return _line(f'{program}: {error}', ExitCode.USAGE)
        case cfg.Error():
            return _line(
                f'{program}: the configuration cannot be read: {fault.describe(error)}',
                ExitCode.USAGE,
            )
        case exceptions.TroveUpgradeError():
            return _line(
                f'ERROR {error.code}: {error.message}',
                int(getattr(error, 'exit_code', ExitCode.ERROR)),
            )
        case BrokenPipeError():
            _drop_output()
            return _SIGNAL + signal.SIGPIPE
        case OSError():
            _drop_output()
            return _line(f'ERROR SYSTEM_ERROR: this host refused: {error}', ExitCode.ERROR)
        case _:
            return _line(
                faults.line(error, conf.database.connection if conf is not None else None),
                ExitCode.ERROR,
            )


def quiet() -> None:
    """Keep libraries of this process from writing beside the one line of the end."""
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if not sys.warnoptions:
        warnings.simplefilter('ignore')


def _line(text: str, code: int) -> int:
    with contextlib.suppress(OSError):  # no program reads it; the code says it, too
        print_line(' '.join(text.split()), sys.stderr)
    return int(code)


def _drop_output() -> None:
    """Send the rest of the buffer nowhere: the interpreter would try it once more at its end, and
    complain.
    """
    # ValueError: no file of the system's, as in tests
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)

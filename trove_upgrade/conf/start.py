# SPDX-License-Identifier: Apache-2.0
"""The start of a program: its configuration is read, and its log is opened.

What the libraries raise where a file is not there, or is not what it should be, becomes an error with a code.
"""
import contextlib
from collections.abc import Iterator, Sequence

from oslo_config import cfg
from oslo_log import log

from trove_upgrade.conf import fault
from trove_upgrade.domain import exceptions

PROJECT = 'trove-upgrade'


class LogUnusable(exceptions.TroveUpgradeError):
    """The log cannot be written, or set up as configured."""

    code = 'LOG_UNUSABLE'
    template = ('The log cannot be opened: {found}. Let [DEFAULT] log_file and log_dir name a place that the user of this program can write, and '
                'log_config_append a file of Python\'s logging configuration.')


def read(conf: cfg.ConfigOpts, arguments: Sequence[str] | None, *, program: str | None = None, files: list[str] | None = None) -> None:
    """Read the command line and the files that it names; else `files`; else those in oslo.config's places.

    :raises ConfigurationInvalid: a file is not there, or cannot be read or understood.
    """
    with reading():
        conf(args=None if arguments is None else list(arguments), project=PROJECT, prog=program, default_config_files=files)


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Inside, oslo.config reads files.

    :raises ConfigurationInvalid: in the place of what it raises.
    """
    try:
        yield
    except cfg.Error as error:
        raise fault.ConfigurationInvalid(found=fault.describe(error)) from error
    except OSError as error:
        raise fault.ConfigurationInvalid(found=f'{error.filename}: {error.strerror}') from error
    except UnicodeDecodeError as error:
        raise fault.ConfigurationInvalid(found='a file of it is not text in UTF-8') from error


def open_log(conf: cfg.ConfigOpts) -> None:
    """Set the log up.  Its options must have been registered before `read`.

    :raises LogUnusable: it cannot be.
    """
    try:
        log.setup(conf, PROJECT)
    except (log.LogConfigError, OSError, RuntimeError, TypeError, ValueError) as error:    # of logging, of its handlers, and of their options
        raise LogUnusable(found=' '.join(str(error).split()).rstrip('.')) from error

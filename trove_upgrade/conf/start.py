# SPDX-License-Identifier: Apache-2.0
"""The start of a program: its configuration is read, and its log is opened.

What the libraries raise where a file is not there, or is not what it should be,
becomes an error with a code.
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence

from oslo_config import cfg
from oslo_log import log

from trove_upgrade.conf import clean_log, fault
from trove_upgrade.domain import exceptions

PROJECT = 'trove-upgrade'

#: Libraries that write requests and answers at DEBUG: user data with the broker's account, the
#: registry's login and keys.
HELD = (
    'amqp',
    'cinderclient',
    'glanceclient',
    'keystoneauth',
    'keystoneauth1',
    'keystoneclient',
    'keystonemiddleware',
    'kombu',
    'neutronclient',
    'novaclient',
    'openstack',
    'oslo.messaging',
    'oslo_messaging',
    'requests',
    'urllib3',
)


class LogUnusable(exceptions.TroveUpgradeError):
    """The log cannot be written, or set up as configured."""

    code = 'LOG_UNUSABLE'
    template = (
        'The log cannot be opened: {found}. Let [DEFAULT] log_file and log_dir name a place that '
        'the user of this program can write, and log_config_append a file of '
        "Python's logging configuration."
    )


def read(
    conf: cfg.ConfigOpts,
    arguments: Sequence[str] | None,
    *,
    program: str | None = None,
    files: list[str] | None = None,
) -> None:
    """Read the command line and the files that it names; else `files`;
    else those in oslo.config's places.

    :raises ConfigurationInvalid: a file is not there, or cannot be read or understood.
    """
    with reading():
        conf(
            args=None if arguments is None else list(arguments),
            project=PROJECT,
            prog=program,
            default_config_files=files,
        )


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Guard a block in which oslo.config reads files.

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

    Neither `debug` nor `default_log_levels` nor `log_config_append` makes a library write what it
    sends, and no record writes a control character.

    :raises LogUnusable: it cannot be.
    """
    try:
        log.setup(conf, PROJECT)
    except (log.LogConfigError, OSError, RuntimeError, TypeError, ValueError) as error:
        # of logging, of its handlers, and of their options
        raise LogUnusable(found=' '.join(str(error).split()).rstrip('.')) from error
    _hold_libraries()
    clean_log.install()


def _hold_libraries() -> None:
    """Children that a configuration names have levels of their own;
    those that are made later take their parent's.
    """
    known = [
        name
        for name in logging.root.manager.loggerDict
        if name.partition('.')[0] in HELD or name.startswith('oslo.messaging.')
    ]
    for name in {*HELD, *known}:
        logger = logging.getLogger(name)
        if logger.level < logging.INFO and (name in HELD or logger.level != logging.NOTSET):
            logger.setLevel(logging.INFO)

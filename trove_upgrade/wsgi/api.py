# SPDX-License-Identifier: Apache-2.0
"""The API as a WSGI server loads it: `trove_upgrade.wsgi.api:application`.

Configuration comes from the files that OS_TROVE_UPGRADE_CONFIG_FILES names (separated by
semicolons), else from oslo.config's default places for `trove-upgrade`
(/etc/trove-upgrade/trove-upgrade.conf first).  The command line belongs to the WSGI server and is
not read.
"""

from trove_upgrade.wsgi import threads

threads.choose()  # before the imports below: see there

import configparser  # noqa: E402
import gc  # noqa: E402
import os  # noqa: E402
import pathlib  # noqa: E402
import sysconfig  # noqa: E402
from collections.abc import Mapping  # noqa: E402

import paste.deploy  # noqa: E402
from oslo_config import cfg  # noqa: E402
from oslo_log import log  # noqa: E402

import trove_upgrade  # noqa: E402
from trove_upgrade import conf as our_conf  # noqa: E402
from trove_upgrade.api import app  # noqa: E402
from trove_upgrade.api.filter import Inner  # noqa: E402
from trove_upgrade.conf import start  # noqa: E402
from trove_upgrade.db import services  # noqa: E402
from trove_upgrade.domain import exceptions, versions  # noqa: E402

_CONFIG_FILES = 'OS_TROVE_UPGRADE_CONFIG_FILES'


def load(conf: cfg.ConfigOpts, environment: Mapping[str, str]) -> Inner:
    """Read the configuration, set up the log, load the application that the paste file describes,
    and register it as a service.

    :raises ConfigurationInvalid: a file that was named does not exist, or cannot be read.
    :raises LogUnusable: the log cannot be opened.
    :raises PasteConfigInvalid: there is no paste file.
    """
    named = [name for name in environment.get(_CONFIG_FILES, '').split(';') if name.strip()]
    log.register_options(conf)
    our_conf.register_opts(conf)
    start.read(conf, [], files=named or None)
    start.open_log(conf)
    return app.alive(_pipeline(paste_file(conf)), conf, services.API)


class PasteConfigInvalid(exceptions.TroveUpgradeError):
    """[trove_upgrade] api_paste_config names a file that is nowhere, or is no paste file."""

    code = 'PASTE_CONFIG_INVALID'
    template = (
        'The API cannot be started: paste file {path} {found}. Set [trove_upgrade] '
        'api_paste_config to the full path of the right one.'
    )


def _pipeline(path: pathlib.Path) -> Inner:
    try:
        application: Inner = paste.deploy.loadapp(f'config:{path}', name='main')
    except (exceptions.TroveUpgradeError, versions.RulesError, cfg.Error):
        raise  # of our own factories
    except (
        LookupError,
        OSError,
        ImportError,
        ValueError,
        AttributeError,
        AssertionError,
        configparser.Error,
    ) as error:
        # all that paste raises
        raise PasteConfigInvalid(
            path=path,
            found=f'cannot be loaded ({type(error).__name__}: {" ".join(str(error).split())})',
        ) from error
    return application


def paste_file(conf: cfg.ConfigOpts) -> pathlib.Path:
    """The paste file: as the option says, beside a configuration file, or where the package has
    installed or holds its own.

    :raises PasteConfigInvalid: none of these.
    """
    name = conf.trove_upgrade.api_paste_config
    found = conf.find_file(name)
    if found is not None:
        return pathlib.Path(found).resolve()
    places = [
        pathlib.Path(name),
        pathlib.Path(sysconfig.get_path('data'), 'etc', start.PROJECT, name),
        pathlib.Path(trove_upgrade.__file__).parents[1] / 'etc' / start.PROJECT / name,
    ]
    for place in places:
        if place.is_file():
            return place.resolve()
    raise PasteConfigInvalid(path=name, found='was not found in any configuration directory')


application = load(cfg.CONF, os.environ)

# What has been loaded stays: looking through it again for garbage would stop requests for a tenth
# of a second each time.
gc.collect()
gc.freeze()

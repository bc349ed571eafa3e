# SPDX-License-Identifier: Apache-2.0
"""Differences between an installation beside a Trove and one alone: read from Trove's own
configuration, of which nothing is imported.
"""

import importlib.metadata
import pathlib

from oslo_config import cfg
from oslo_upgradecheck import upgradecheck

from trove_upgrade import conf as our_conf
from trove_upgrade.cmd.status.results import failure, success, warning
from trove_upgrade.conf import fault, guestagent, messaging

#: Trove's own options, with Trove's defaults.  Source: trove/common/cfg.py of Trove 26.
TROVES_OPTS: list[cfg.Opt] = [
    cfg.StrOpt('api_paste_config', default='api-paste.ini'),
    cfg.StrOpt('guest_config', default='/etc/trove/trove-guestagent.conf'),
    cfg.StrOpt('taskmanager_queue', default='taskmanager'),
    cfg.StrOpt('conductor_queue', default='trove-conductor'),
    cfg.IntOpt('http_get_rate', default=200),
    cfg.ListOpt('admin_roles', default=[]),
]
#: Series of Trove that this release is tested with.
TRIED = ('26',)
_TROVES_FILE = 'trove.conf'
_TROVES_PREFIX = 'guestagent.'
#: A client that follows an upgrade asks once every second or two.
_LEAST_GETS_PER_MINUTE = 60
#: What Trove's own clients send with an edit fits into it many times.
_LEAST_BODY_BYTES = 8192
#: What a taskmanager and an agent must agree on.
_SHARED = ('guest_topic_prefix', 'rpc_exchange', 'taskmanager_topic')


def is_beside(conf: cfg.ConfigOpts) -> bool:
    """Return whether the configuration is a Trove's: a file of it is trove.conf, or names Trove's
    paste file.  Registers Trove's options.
    """
    conf.register_opts(TROVES_OPTS)
    files = [pathlib.Path(name).name for name in getattr(conf, 'config_file', None) or []]
    return _TROVES_FILE in files or _is_given(conf, 'api_paste_config')


def paste_file(conf: cfg.ConfigOpts) -> pathlib.Path:
    """Trove's, as Trove itself would find it."""
    return pathlib.Path(conf.find_file(conf.api_paste_config) or conf.api_paste_config)


def check_release() -> upgradecheck.Result:
    """Return whether this release was tried with this Trove."""
    try:
        found = importlib.metadata.version('trove')
    except importlib.metadata.PackageNotFoundError:
        return warning(
            'Trove is not installed in this environment, so this check cannot tell its release. '
            "Run this command where Trove's API runs; the filter has to be installed there."
        )
    if found.partition('.')[0] in TRIED:
        return success(f'Trove {found} is installed, a series that was tried.')
    return warning(
        f'Trove {found} was not tried with this release of trove-upgrade; '
        f'{", ".join(f"{one}.x" for one in TRIED)} was. Try an upgrade of an instance that no '
        'tenant needs first.'
    )


def check_topics(conf: cfg.ConfigOpts) -> upgradecheck.Result:
    """Our agent and Trove's listen apart, and every guest is told so."""
    ours = conf[our_conf.GROUP]
    if ours.guest_topic_prefix in messaging.PREFIXES_OF_TROVE:
        return failure(
            "Trove's agent and ours would take each other's messages: "
            f'[trove_upgrade] guest_topic_prefix is "{ours.guest_topic_prefix}". '
            f'Set it to "trove-upgrade-guest." in {_TROVES_FILE} and in the '
            f"guests' configuration ({conf.guest_config})."
        )
    if ours.taskmanager_topic in {conf.taskmanager_queue, conf.conductor_queue}:
        return failure(
            f'[trove_upgrade] taskmanager_topic is "{ours.taskmanager_topic}", which is a queue of '
            "Trove's own. Leave it as it is shipped."
        )
    return _check_guests(conf, pathlib.Path(conf.guest_config))


def _check_guests(conf: cfg.ConfigOpts, path: pathlib.Path) -> upgradecheck.Result:
    """Return what Trove puts into each guest it makes."""
    theirs = _guest_conf(path)
    if isinstance(theirs, str):
        return failure(
            f'The configuration that Trove gives to guests ([DEFAULT] guest_config, {path}) cannot '
            f'be read: {theirs}. Guests of new instances could not be upgraded.'
        )
    unlike = _unlike_in_our_section(conf, theirs)
    if unlike:
        return failure(
            'Guests and taskmanagers would not hear each other: in section [trove_upgrade] of '
            f'{path} {unlike}. Write the same into both; guests that are there already '
            'get it with their next rebuild.'
        )
    elsewhere = _elsewhere(conf, theirs)
    if elsewhere:
        return failure(
            f'Guests of {path} and taskmanagers would not hear each other: {elsewhere}. Write the '
            'same virtual host into both; guests that are there already get it with their next '
            'rebuild.'
        )
    unlike = _unlike_at_the_broker(conf, theirs)
    if unlike:
        return warning(
            f'The broker would refuse guests of {path} our exchange: {unlike}. Write the same '
            'options of [oslo_messaging_rabbit] into both (rabbit_quorum_queue, '
            'amqp_durable_queues, amqp_auto_delete); guests that are there already keep what they '
            'have.'
        )
    return _check_rebuilt_guests(conf, path)


def _check_rebuilt_guests(conf: cfg.ConfigOpts, path: pathlib.Path) -> upgradecheck.Result:
    """A rebuilt guest is given the file that Trove gives to each it makes."""
    rendered = conf[our_conf.GROUP].guest_config_file
    if rendered is None or pathlib.Path(rendered) != path:
        return warning(
            f"[trove_upgrade] guest_config_file is {rendered or 'not set'}, and Trove's "
            f'guest_config is {path}: a rebuilt guest gets '
            f'{"that other file" if rendered else "what it was created with"}. '
            'Set guest_config_file to the same file.'
        )
    return success(
        f'Our agents listen on "{conf[our_conf.GROUP].guest_topic_prefix}<instance id>", Trove\'s '
        f'on "{_TROVES_PREFIX}<instance id>"; {path} gives guests the same.'
    )


def _unlike_in_our_section(conf: cfg.ConfigOpts, theirs: cfg.ConfigOpts) -> str:
    """Return options on which a taskmanager and the guests do not agree; '' for none."""
    here, there = conf[our_conf.GROUP], theirs[our_conf.GROUP]
    return '; '.join(
        f'{name} is "{there[name]}" there and "{here[name]}" here'
        for name in _SHARED
        if there[name] != here[name]
    )


def _elsewhere(conf: cfg.ConfigOpts, theirs: cfg.ConfigOpts) -> str:
    """Return the virtual host of guests on which no taskmanager listens; '' for none, and where a
    URL cannot be understood.
    """
    from trove_upgrade.rpc import place  # not before `main` has chosen the threads

    if not theirs[our_conf.GROUP].guest_transport_url:
        return ''  # Trove's own, or that of another file of the guest
    try:
        there = place.virtual_host(theirs, place.of_guests(theirs))
        here = [place.virtual_host(conf, at) for at in place.of_taskmanagers(conf)]
    except place.UNREADABLE:
        return ''
    if there is None or None in here or there in here:
        return ''
    return (
        f'guest_transport_url names the virtual host "{there}" there, and taskmanagers listen '
        f'on {", ".join(map(repr, here))}'
    )


def _unlike_at_the_broker(conf: cfg.ConfigOpts, theirs: cfg.ConfigOpts) -> str:
    """Return what the taskmanagers and the guests would declare in another way; '' for nothing, and
    where a URL cannot be understood.
    """
    # not before `main` has chosen the threads
    from trove_upgrade.rpc import guest_queues, place, transport

    try:
        at = place.of_guests(theirs)
        here, there = (
            guest_queues.declared(conf, at if at == place.SERVICES else place.of_guests(conf)),
            guest_queues.declared(theirs, at),
        )
    except (transport.TransportInvalid, fault.ConfigurationInvalid, cfg.Error, ValueError):
        return ''
    if here is None or there is None:
        return ''
    return ', '.join(
        f'{name} is {getattr(there, name)} there and {getattr(here, name)} here'
        for name in ('durable', 'auto_delete')
        if getattr(here, name) != getattr(there, name)
    )


def _guest_conf(path: pathlib.Path) -> cfg.ConfigOpts | str:
    """Read the configuration as the guest's agent reads it; a text says why it cannot."""
    if not path.is_file():
        return 'there is no such file'
    found = cfg.ConfigOpts()
    found.register_opts([*guestagent.OPTS, *messaging.OPTS], group=our_conf.GROUP)
    try:
        found(['--config-file', str(path)], project='trove-guestagent', default_config_dirs=[])
        for name in _SHARED:
            found[our_conf.GROUP][name]  # a value of a wrong form is found when it is read
    except cfg.Error as error:
        return fault.describe(error)
    return found


def check_status_writer(conf: cfg.ConfigOpts) -> upgradecheck.Result:
    """One writes service_statuses: Trove's conductor."""
    if conf[our_conf.GROUP].write_service_status:
        return failure(
            "[trove_upgrade] write_service_status is on: Trove's conductor and we would "
            "overwrite each other's status of instances. Set it to false beside Trove."
        )
    return success(
        "Only Trove's conductor writes the status of services: write_service_status is off."
    )


def check_limits(conf: cfg.ConfigOpts) -> upgradecheck.Result:
    """Check that neither a body that Trove takes nor a client that waits for an upgrade is turned
    away.
    """
    found = []
    if conf.http_get_rate < _LEAST_GETS_PER_MINUTE:
        found.append(
            f'[DEFAULT] http_get_rate is {conf.http_get_rate} a minute for each user: a client '
            f'that follows an upgrade asks more often. Set it to {_LEAST_GETS_PER_MINUTE} or more'
        )
    if conf[our_conf.GROUP].max_body_bytes < _LEAST_BODY_BYTES:
        found.append(
            f'[trove_upgrade] max_body_bytes is {conf[our_conf.GROUP].max_body_bytes}: '
            'it bounds every PATCH and PUT on an instance, also '
            f"Trove's own. Set it to {_LEAST_BODY_BYTES} or more"
        )
    return (
        warning('. '.join(found) + '.')
        if found
        else success(
            f'http_get_rate is {conf.http_get_rate} a minute and max_body_bytes '
            f'{conf[our_conf.GROUP].max_body_bytes}: enough for usual clients.'
        )
    )


def _is_given(conf: cfg.ConfigOpts, name: str) -> bool:
    return conf.get_location(name).location in {cfg.Locations.user, cfg.Locations.set_override}

# SPDX-License-Identifier: Apache-2.0
"""Configuration of our agent in an old guest, composed here from the old agent's files and the
operator's own.

It goes into a directory of ours, /etc/trove-upgrade-bridge/conf.d, and our agent reads that alone:

- The old agent reads every file of /etc/trove/conf.d at its next start.  A file there for root
  alone would end the old agent, which often runs as another user; and options of ours, a log file
  among them, would count for it.
- The old files have options that a present oslo.messaging no longer has or takes in another sense.
  What is needed of them is carried over by name; nothing else can break our agent's start.

So of the old files only what is listed here is carried over; of the operator's file all but the
guest's identity, the log's options and the marks of an upgrade.
"""

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence

from trove_upgrade.bridge import old_broker, option_text
from trove_upgrade.bridge.old_broker import Broker
from trove_upgrade.bridge.option_text import DEFAULT, Resolved
from trove_upgrade.domain import exceptions

OURS = 'trove_upgrade'
_RABBIT = 'oslo_messaging_rabbit'
#: Topic of our agent beside Trove's own.
PREFIX = 'trove-upgrade-guest.'
#: Where the volume is mounted in a guest that our drivers know, as old configurations write it.
_MOUNT_POINT = '/var/lib/mysql'
#: In [DEFAULT], of the old agent: besides its identity and its broker.
_CARRIED = ('control_exchange', 'datastore_version', 'instance_rpc_encr_key')
_IDENTITY = ('guest_id', 'tenant_id', 'datastore_manager')
#: In [DEFAULT] of the operator's file: of this guest, or of the log, which the service sets.
_NOT_OF_OPERATOR = frozenset(
    {
        *_IDENTITY,
        'log_file',
        'log_dir',
        'log_config_append',
        'use_syslog',
        'use_journal',
        'watch_log_file',
        'instance_rpc_encr_key',
    }
)
_SERVICE = re.compile(r'[A-Za-z0-9@_.-]{1,64}', re.ASCII)
#: Of an upgrade that has booted a guest: this one has not been.
_OF_AN_UPGRADE = frozenset(
    {'upgrade_marker', 'upgrade_volume_uuid', 'upgrade_container_repositories'}
)


class GuestConfigurationUnusable(exceptions.TroveUpgradeError):
    """The old agent's files and the operator's own do not amount to a configuration of our agent.
    The text holds no value of theirs but ids and paths.
    """

    code = 'BRIDGE_GUEST_CONFIGURATION_UNUSABLE'
    template = (
        'The configuration of our agent cannot be composed for instance {instance_id}: {found}. '
        '{advice}.'
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class OldGuest:
    """Instance as Trove's rows have it, and the files of its agent in the order in which that
    reads them.
    """

    instance_id: str
    project_id: str
    datastore_manager: str
    files: Sequence[str] = dataclasses.field(repr=False)
    agent_services: Sequence[str] = ()  #: that were found in it


@dataclasses.dataclass(frozen=True, kw_only=True)
class Composed:
    """Configuration of our agent.  `text` has secrets in it, `remarks` have none."""

    text: str = dataclasses.field(repr=False)
    brokers: Sequence[Broker]
    remarks: Sequence[str]


def compose(guest: OldGuest, operators_text: str) -> Composed:
    """Return the text of trove-upgrade-guestagent.conf.

    `operators_text` is the content of `guest_config_file`; its options count more than the old
    agent's.

    :raises GuestConfigurationUnusable: see there.
    """
    old_options, left_out = option_text.read(guest.files)
    old = Resolved(old_options)
    _require_same_guest(guest, old)
    _require_mount_point(guest, old)
    operators, not_lines = option_text.read([operators_text])
    if not_lines:
        raise GuestConfigurationUnusable(
            instance_id=guest.instance_id,
            found=f'guest_config_file has {not_lines} lines that are no options',
            advice='Mend the file; the guests of an upgrade read it, too',
        )
    carried, wrong = _of_old(old)
    groups = _merged(carried, operators)
    transport = transport_of(groups)
    if transport is None:
        raise GuestConfigurationUnusable(
            instance_id=guest.instance_id,
            found="neither its agent's files nor guest_config_file name a broker",
            advice='Set transport_url in guest_config_file',
        )
    _add_ours(groups, guest)
    remarks = [f'{name} of the old agent has no value that can be used' for name in wrong]
    if left_out:
        remarks.append(f'{left_out} lines of its files are no options')
    return Composed(
        text=option_text.write(groups), brokers=old_broker.brokers(transport), remarks=remarks
    )


def _require_same_guest(guest: OldGuest, old: Resolved) -> None:
    """Refuse a guest that is another: its address may have been given to another server."""
    found = old.value(DEFAULT, 'guest_id')
    if found and found.strip() != guest.instance_id:
        raise GuestConfigurationUnusable(
            instance_id=guest.instance_id,
            found=f'the agent of this guest has the id {found.strip()[:64]!r}',
            advice='See which server has this address; nothing was changed in it',
        )


def _require_mount_point(guest: OldGuest, old: Resolved) -> None:
    for group in (guest.datastore_manager, DEFAULT):
        found = old.value(group, 'mount_point')
        if found and found.strip().rstrip('/') != _MOUNT_POINT:
            raise GuestConfigurationUnusable(
                instance_id=guest.instance_id,
                found=f'its volume is mounted at {found.strip()[:128]!r}, and an upgrade knows '
                f'{_MOUNT_POINT}',
                advice='Move its data by a backup into an instance of a newer version',
            )


def _of_old(old: Resolved) -> tuple[option_text.Options, Sequence[str]]:
    """Return what is carried over of the old agent, written literally; and the names of options
    with a value that cannot be.
    """
    found = {name: old.value(DEFAULT, name) for name in _CARRIED}
    found['transport_url'] = old_broker.url(old)
    settings, wrong = old_broker.settings(old)
    in_default = {name: value for name, value in found.items() if value and value.strip()}
    several = [name for name, value in in_default.items() if '\n' in value]
    return {
        DEFAULT: _literals(in_default, several),
        _RABBIT: _literals(settings, ()),
    }, [*wrong, *several]


def _literals(values: Mapping[str, str], left_out: Collection[str]) -> dict[str, list[str]]:
    return {
        name: [option_text.literal(value)] for name, value in values.items() if name not in left_out
    }


def _merged(carried: option_text.Options, operators: option_text.Options) -> option_text.Options:
    """Return both; an option of the operator's takes the place of the old agent's.

    Its lines are kept as they are written: names in values may lead to others of the same file.
    """
    groups = {group: dict(options) for group, options in carried.items()}
    for group, options in operators.items():
        left_out = {DEFAULT: _NOT_OF_OPERATOR, OURS: _OF_AN_UPGRADE}.get(group, frozenset())
        for name, values in options.items():
            if name not in left_out:
                groups.setdefault(group, {})[name] = [
                    option_text.written(value) for value in values
                ]
    return groups


def transport_of(groups: option_text.Options) -> str | None:
    """Return the URL by which our agent will reach the taskmanagers; None: they name none."""
    composed = Resolved(groups)
    return composed.value(OURS, 'guest_transport_url') or composed.value(DEFAULT, 'transport_url')


def _add_ours(groups: option_text.Options, guest: OldGuest) -> None:
    """Set what must be so in such a guest, whatever the files have."""
    groups.setdefault(DEFAULT, {}).update(
        {
            'guest_id': [guest.instance_id],
            'tenant_id': [option_text.literal(guest.project_id)],
            'datastore_manager': [option_text.literal(guest.datastore_manager)],
        }
    )
    ours = groups.setdefault(OURS, {})
    ours['guest_topic_prefix'] = [PREFIX]
    services = [name for name in guest.agent_services if _SERVICE.fullmatch(name)]
    if services:
        ours['trove_agent_services'] = [','.join(services)]

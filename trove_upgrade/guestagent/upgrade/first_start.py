# SPDX-License-Identifier: Apache-2.0
"""The first start of the new server, isolated: the engine's own upgrade of the data, and the
comparison, before any client comes.

What isolates it can be removed by others while it runs: a guest's firewall that is loaded anew
takes the rules of the packet filter with it.  A client may have come from then on.  So the server
ends, is started without a network, and all that was done while it could be reached is done anew.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from trove_upgrade.domain import exceptions, logs
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.guest_results import Compared
from trove_upgrade.domain.upgrade_info import UpgradeInfo
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.machine import durable, service
from trove_upgrade.guestagent.machine.progress import within
from trove_upgrade.guestagent.upgrade import carried_image, verify
from trove_upgrade.guestagent.upgrade.isolation_watch import watched
from trove_upgrade.guestagent.upgrade.mark_facts import (
    ComparedFacts,
    ServerStartedFacts,
    UpgradedFacts,
)
from trove_upgrade.guestagent.upgrade.marks import Mark
from trove_upgrade.guestagent.upgrade.work import Guest, Work

LOG = logs.get_logger(__name__)

_NAMED = 5
#: The second one is without a network: none can reach that server.
_STARTS = 2
#: Percent of the restore at which these begin, and the last ends.
_UPGRADING, _COMPARING, _COMPARED = 40, 70, 90


def run(work: Work, info: UpgradeInfo, before: base.Fingerprint, *, is_rollback: bool) -> None:
    """Start the server, upgrade the data and compare it with `before`; once more where clients may
    have come meanwhile.

    :raises StepFailed: ISOLATION_LOST; they may have come again.  FINGERPRINT_DIFFERS.
    """
    for _ in range(_STARTS):
        _remember_lost_isolation(work.guest, info)
        _start(work, info, is_rollback=is_rollback)
        if (
            work.guest.driver.is_isolated()
            and _upgraded(work, info, before)
            and _compared(work, info, before)
        ):
            return
    raise exceptions.StepFailed(
        'The data cannot be compared: what keeps clients from the database was removed in the '
        'guest, and removed again after another start. Look what changes the packet filter of the '
        'guest, then retry the upgrade.',
        Code.ISOLATION_LOST,
    )


def lost_isolation(guest: Guest, info: UpgradeInfo) -> str | None:
    """Return when clients may have come before the comparison, as a sentence; None: never."""
    started = guest.marks.get(ServerStartedFacts, info.upgrade_id)
    if started is None or started.isolation_lost_at is None:
        return None
    return (
        'What keeps clients from the database until it is compared was removed in the guest '
        f'(found at {started.isolation_lost_at}): clients may have read it and written to it '
        'before. The server was started again without a network and all was compared anew.'
    )


def _remember_lost_isolation(guest: Guest, info: UpgradeInfo) -> None:
    """Keep clients away again from a server that they could reach, and note it on the volume: it
    explains differences.
    """
    if guest.driver.is_isolated():
        return
    guest.driver.keep_closed()
    started = guest.marks.get(ServerStartedFacts, info.upgrade_id)
    if started is not None and started.isolation_lost_at is None:
        now = guest.clock.now().isoformat()
        guest.marks.record(dataclasses.replace(started, isolation_lost_at=now))


def _start(work: Work, info: UpgradeInfo, *, is_rollback: bool) -> None:
    """Start the server, past the point of no return from the first mark on: a start that is
    refused has changed files, too.
    """
    guest = work.guest
    if not guest.marks.has(Mark.SERVER_STARTED, info.upgrade_id):
        guest.marks.record(
            ServerStartedFacts(
                upgrade_id=info.upgrade_id,
                boot_id=guest.boot_id(),
                at=guest.clock.now().isoformat(),
                rollback=is_rollback,
            )
        )
    if not is_rollback:
        carried_image.discard_former(guest)  # the upgrade of the data can use its room
    if guest.service.exists(service.DATABASE) and guest.service.status(service.DATABASE):
        # a server of a run that was cut short; whether it is isolated cannot be told
        guest.service.stop(service.DATABASE)
    work.progress(30, 'Starting the new server, isolated.')
    guest.driver.start_isolated()
    if not is_rollback:  # that takes the very image of before, and a wrong number keeps none down
        _require_version(work)


def _require_version(work: Work) -> None:
    """Let no server upgrade data, or be opened, that is not the one that is expected: on the new
    root disk only the server itself tells its version where it runs in a container.
    """
    version = work.guest.driver.server_version()
    if version is not None:
        verify.require_version(
            version,
            work.call.target,
            'The data was not upgraded, and the database was not opened for clients.',
        )


def _upgraded(work: Work, info: UpgradeInfo, before: base.Fingerprint) -> bool:
    """Have the engine upgrade the data where it has not.  Return False where clients may have come
    meanwhile: what they did may also be why it has failed.
    """
    guest = work.guest
    upgraded = guest.marks.get(UpgradedFacts, info.upgrade_id)
    # a mended image can be of another release
    if upgraded is not None and upgraded.server_version == guest.driver.server_version():
        return True
    work.progress(_UPGRADING, 'Upgrading the data.')
    try:
        with watched(guest):
            guest.driver.upgrade_data(
                within(work.progress, _UPGRADING, _COMPARING),
                before.server_version,
                work.call.options,
            )
    except exceptions.StepFailed as error:
        if guest.driver.is_isolated():
            raise
        LOG.warning('The upgrade of the data failed while clients could come: %s', error.message)
        return False
    if not guest.driver.is_isolated():
        return False
    guest.marks.record(
        UpgradedFacts(upgrade_id=info.upgrade_id, server_version=guest.driver.server_version())
    )
    return True


def _compared(work: Work, info: UpgradeInfo, before: base.Fingerprint) -> bool:
    """Compare the data before any client comes: afterwards its writes would be differences.
    Return False where one may have come meanwhile.
    """
    guest = work.guest
    work.progress(_COMPARING, 'Comparing tables, users and grants.')
    comparing = within(work.progress, _COMPARING, _COMPARED)
    with watched(guest):
        after = guest.driver.fingerprint(work.call.options, comparing)
    comparison = guest.driver.compare(before, after)
    if not guest.driver.is_isolated():
        return False
    _require_nothing_missing(guest, info, comparison)
    kept = guest.driver.keep_settings(before, after, work.call.options)
    digest = hashlib.sha256(after.to_document()).hexdigest()
    result = Compared(
        fingerprint=_summary(before, after, comparison, digest),
        settings_changed=[change.to_row() for change in comparison.settings_changed],
        settings_kept=kept,
    )
    guest.marks.record(ComparedFacts(upgrade_id=info.upgrade_id, result=result))
    return True


def _require_nothing_missing(guest: Guest, info: UpgradeInfo, comparison: base.Comparison) -> None:
    accepted = _accepted(guest, info)
    missing = [difference for difference in comparison.missing if difference not in accepted]
    if missing:
        durable.write_json(
            guest.layout.differences(info.upgrade_id), {'differences': list(comparison.missing)}
        )
        more = len(missing) - _NAMED
        raise exceptions.StepFailed(
            f'The upgraded data is not what it was: {"; ".join(missing[:_NAMED])}'
            f'{f"; and {more} more" if more > 0 else ""}. The database was not opened for clients; '
            f'compare it with a backup.{_perhaps_of_clients(guest, info)}',
            'FINGERPRINT_DIFFERS',
        )


def _perhaps_of_clients(guest: Guest, info: UpgradeInfo) -> str:
    lost = lost_isolation(guest, info)
    return '' if lost is None else f' {lost} What they wrote is in it, and is a difference.'


def _accepted(guest: Guest, info: UpgradeInfo) -> Sequence[str]:
    """Return what an operator has written in the guest, word for word as the differences are; else
    a false one would cost an instance.
    """
    path = guest.layout.accepted(info.upgrade_id)
    try:
        return [str(difference) for difference in durable.read_json(path).get('differences') or ()]
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError) as error:
        LOG.warning('%s cannot be read and accepts nothing: %s', path, error)
        return ()


def _summary(
    before: base.Fingerprint, after: base.Fingerprint, comparison: base.Comparison, digest: str
) -> Mapping[str, Any]:
    return {
        'missing': [],
        'accepted': list(comparison.missing)[:100],
        'tables_compared': comparison.tables_compared,
        'rows_compared': comparison.rows_compared,
        'users': len(after.users),
        'objects': len(after.objects),
        'counted_only_by_file': list(before.counted_only_by_file)[:100],
        'not_compared': list(comparison.not_compared)[:100],
        'former_server_version': before.server_version,
        'server_version': after.server_version,
        'digest': digest,
    }

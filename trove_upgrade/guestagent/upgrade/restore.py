# SPDX-License-Identifier: Apache-2.0
"""post_upgrade: from a bare root disk of the new image to a database that serves, with nothing
missing.

A rollback is the same on the former image, with one rule more: the new server must never have been
started on the data.

The marks on the volume say how far any earlier run came, on this root disk or on one that has been
lost since.
"""

import configparser
import contextlib
from collections.abc import Sequence

from trove_upgrade.domain import exceptions, logs, upgrade_info
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.guest_results import Compared, Restored
from trove_upgrade.domain.upgrade_checks import CheckOutcome, CheckResult
from trove_upgrade.domain.upgrade_info import UpgradeInfo
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.machine import durable
from trove_upgrade.guestagent.storage import data_files, volume_ownership
from trove_upgrade.guestagent.storage.stash.restore import Stash
from trove_upgrade.guestagent.upgrade import (
    carried_image,
    files,
    first_start,
    generations,
    root_disk,
    taking,
    verify,
)
from trove_upgrade.guestagent.upgrade.mark_facts import (
    ComparedFacts,
    ConfiguredFacts,
    OpenedFacts,
    RestoredFacts,
)
from trove_upgrade.guestagent.upgrade.marks import Mark
from trove_upgrade.guestagent.upgrade.work import Guest, JobOutcome, Work

LOG = logs.get_logger(__name__)


def restore(work: Work) -> JobOutcome:
    """The new server serves the old data.

    :raises StepFailed: it does not; clients cannot reach it unless the fingerprint was compared
        before.
    """
    with work.guest.awake():
        return _restored(work)


def _restored(work: Work) -> JobOutcome:
    guest, info = work.guest, _info(work)
    root_disk.require_another(guest, info.former_boot_id)
    work.progress(0, 'Mounting the volume.')
    taking.take(guest, info.volume_uuid, guest.settings.volume_wait_seconds)
    if not guest.layout.on_volume.is_dir() or not volume_ownership.is_ours(guest.layout.on_volume):
        raise exceptions.StepFailed(
            f'The volume {info.volume_uuid} cannot be used: {guest.layout.on_volume} is missing, '
            'or others than root can write there. Look whether this is the volume that the '
            'upgrade unmounted.',
            Code.STASH_MISSING,
        )
    generations.carry_over(guest, work.call)  # a new root disk has seen none; the volume has
    _require_direction(work, info)
    if guest.marks.has(Mark.RESTORED, info.upgrade_id) and guest.serving():
        return _outcome(work, info)
    if guest.driver.shares_volume:
        # a root disk of Trove's own rebuild has no marker: what Trove's agent was asked for it must
        # not run after this
        guest.trove_agent.hold()
    _require_image(work)
    with Stash.open(guest.layout.on_volume, info.stash, info.stash_digest) as stash:
        before = _read(stash, info)
        if not guest.marks.has(Mark.SERVER_STARTED, info.upgrade_id):
            _require_release(work, before)
            _require_untouched(work, stash, info)
        _configure(work, stash, info)
    if not guest.marks.has(Mark.COMPARED, info.upgrade_id):
        first_start.run(work, info, before, is_rollback=_is_rollback(work))
    _open(work, info)
    return _outcome(work, info)


def _info(work: Work) -> UpgradeInfo:
    """The marks are kept under its id and the journal under the call's: they must be one."""
    try:
        info = UpgradeInfo.from_wire(work.call.upgrade_info)
    except upgrade_info.Invalid as error:
        raise upgrade_info.not_returned(str(error)) from None
    if info.upgrade_id != work.call.upgrade_id:
        raise upgrade_info.not_returned(
            f'it is of upgrade {info.upgrade_id} and the call of {work.call.upgrade_id}'
        )
    return info


def _read(stash: Stash, info: UpgradeInfo) -> base.Fingerprint:
    if stash.manifest.upgrade_id != info.upgrade_id:
        raise upgrade_info.not_returned(
            f'it is of upgrade {info.upgrade_id} and its stash of {stash.manifest.upgrade_id}'
        )
    return base.Fingerprint.from_document(stash.document('fingerprint', info.fingerprint_digest))


def _is_rollback(work: Work) -> bool:
    return work.call.options.rollback


def _require_direction(work: Work, info: UpgradeInfo) -> None:
    """Refuse the other direction: only one of the two servers may ever be started on the data, and
    the mark on the volume remembers which.
    """
    guest = work.guest
    if _is_rollback(work):
        if guest.server_started_for_certain(info.upgrade_id) is not False:
            raise exceptions.StepFailed(
                f'Upgrade {info.upgrade_id} cannot be rolled back: the new server has been started '
                'on the data already, and the former one could damage it. Retry the upgrade: it '
                'goes on where it stopped.',
                Code.SERVER_STARTED_ON_DATA,
            )
    elif guest.marks.has(Mark.SERVER_STARTED, info.upgrade_id) and not guest.server_started(
        info.upgrade_id
    ):
        raise exceptions.StepFailed(
            f'Upgrade {info.upgrade_id} cannot go on: a rollback has started the former server on '
            'the data, which may have been written to since. Finish the rollback, then upgrade '
            'again.',
            Code.ROLLBACK_UNFINISHED,
        )


def _require_image(work: Work) -> None:
    """Facts that the image states of itself are looked at before its server could touch anything;
    an image that states none passes.
    """
    installed = work.guest.driver.installed_version()
    if installed is not None:
        verify.require_version(
            installed,
            work.call.target,
            'The data was not touched: the guest was booted from another image than it should.',
        )


def _require_release(work: Work, before: base.Fingerprint) -> None:
    """The target's number may name a series; only its image tells the release, and only the former
    server told its own.
    """
    driver = work.guest.driver
    installed = driver.installed_version()
    result = (
        driver.check_release(before.server_version, installed) if installed is not None else None
    )
    if result is not None and result.outcome == CheckOutcome.REFUSED:
        raise exceptions.StepFailed(
            f'The data was not touched. {result.message}', result.code or 'DOWNGRADE'
        )


def _require_untouched(work: Work, stash: Stash, info: UpgradeInfo) -> None:
    """A checksum taken before counts only if nothing has written since, and if it is this
    instance's.
    """
    running = work.guest.driver.server_version()
    if running is not None:
        raise exceptions.StepFailed(
            f'The data cannot be upgraded: a database server, {running}, runs already on the new '
            'image, and the agent has not started it. Build the image with its own database '
            'service masked.',
            'SERVER_UNEXPECTED',
        )
    changed = data_files.differences(
        stash.document('files', info.files_digest), work.guest.layout.data_directory
    )
    if changed:
        raise exceptions.StepFailed(
            'The data cannot be upgraded: it is not as it was when the database was stopped: '
            f'{"; ".join(changed)}. Look what has written to the volume since {info.stopped_at}.',
            'DATA_CHANGED',
        )
    former = _guest_id(stash, str(work.guest.layout.agent_files[0]))
    if former not in {None, work.guest.instance_id}:
        raise exceptions.StepFailed(
            f'The stash {stash.name} cannot be used: it is of instance {former}, and this guest is '
            f'{work.guest.instance_id}. Attach the right volume.',
            'STASH_OF_ANOTHER_INSTANCE',
        )


def _guest_id(stash: Stash, path: str) -> str | None:
    """Read the guest's id in the stash; None if the former root disk did not say."""
    with contextlib.suppress(KeyError, configparser.Error):
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.read_string(stash.file(path).decode(errors='replace'))
        return parser.get('DEFAULT', 'guest_id', fallback=None)
    return None


def _configure(work: Work, stash: Stash, info: UpgradeInfo) -> None:
    """Files back, owners by name, configuration tried on scratch; once per root disk.

    The real data is not touched: what is refused here has not passed the point of no return.
    """
    guest = work.guest
    guest.driver.expect(work.call.target)
    if guest.marks.has(Mark.CONFIGURED, info.upgrade_id):
        if not guest.marks.has(Mark.COMPARED, info.upgrade_id):
            _require_accepted(guest.driver.check_again(work.call.options, work.progress))
        return
    work.progress(10, 'Restoring the configuration.')
    remarks = files.restore(guest.driver, guest.accounts, stash)
    durable.make_directory(guest.layout.volume_uuid.parent)
    durable.write(guest.layout.volume_uuid, f'{info.volume_uuid}\n'.encode())
    guest.driver.own_data()
    # not sooner: only the files that have come tell which image is wanted
    not_carried = carried_image.load(guest, work.progress)
    work.progress(20, 'Trying the configuration on an empty data directory.')
    _require_accepted(guest.driver.check_configuration(work.call.options))
    guest.marks.record(
        ConfiguredFacts(
            upgrade_id=info.upgrade_id,
            remarks=remarks,
            image_source=guest.driver.image_source(),
            not_carried=not_carried,
        )
    )


def _require_accepted(tried: CheckResult | None) -> None:
    if tried is not None and tried.outcome == CheckOutcome.REFUSED:
        raise exceptions.StepFailed(tried.message, tried.code or Code.CONFIGURATION_REFUSED)


def _open(work: Work, info: UpgradeInfo) -> None:
    """Boot first, clients next: a guest that reboots in between serves by itself."""
    guest = work.guest
    opening_at = guest.clock.now().isoformat()
    work.progress(90, 'Opening the database for clients.')
    mounted = guest.volume.mounted()
    if mounted is None:
        raise exceptions.StepFailed(
            f'The database cannot be opened: nothing is mounted at {guest.layout.volume} any more. '
            'Look who has unmounted the volume, then retry the upgrade.',
            Code.VOLUME_NOT_MOUNTED,
        )
    # as the kernel says, nothing of what was sent
    guest.volume.write_fstab(mounted.uuid, mounted.filesystem)
    guest.driver.set_autostart(enabled=True)
    guest.driver.open_for_clients()
    if not guest.marks.has(Mark.OPENED, info.upgrade_id):
        guest.marks.record(
            OpenedFacts(
                upgrade_id=info.upgrade_id,
                opening_at=opening_at,
                opened_at=guest.clock.now().isoformat(),
                server_version=guest.driver.server_version(),
            )
        )
    guest.driver.publish()
    guest.marks.record(
        RestoredFacts(upgrade_id=info.upgrade_id, marker=guest.marker(), boot_id=guest.boot_id())
    )
    # the engine has what runs; until here a root disk that is lost is restored from the volume
    carried_image.discard(guest)


def _remarks(guest: Guest, info: UpgradeInfo, configured: ConfiguredFacts | None) -> Sequence[str]:
    lost = first_start.lost_isolation(guest, info)
    return (
        *(() if configured is None else configured.remarks),
        *(() if lost is None else (lost,)),
    )


def _outcome(work: Work, info: UpgradeInfo) -> JobOutcome:
    marks = work.guest.marks
    compared = marks.get(ComparedFacts, info.upgrade_id)
    opened = marks.get(OpenedFacts, info.upgrade_id)
    configured = marks.get(ConfiguredFacts, info.upgrade_id)
    return JobOutcome(
        f'The database serves on the {"former" if _is_rollback(work) else "new"} image, and '
        'nothing is missing.',
        Restored(
            compared=Compared() if compared is None else compared.result,
            stopped_at=info.stopped_at,
            opened_at=None if opened is None else opened.opened_at,
            opening_at=None if opened is None else opened.opening_at,
            remarks=_remarks(work.guest, info, configured),
            image_source=None if configured is None else configured.image_source,
            not_carried=None if configured is None else configured.not_carried,
        ).to_wire(),
    )

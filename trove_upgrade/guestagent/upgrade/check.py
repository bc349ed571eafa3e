# SPDX-License-Identifier: Apache-2.0
"""check_upgrade: everything that could make the upgrade fail, looked at while the database serves;
nothing is changed.  Where the call asks for it, the target's container image is brought here then.
"""

import pathlib
from collections.abc import Callable, Sequence

from trove_upgrade.domain import exceptions, logs
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.guest_results import Checked
from trove_upgrade.domain.upgrade_checks import PASSING, CheckResult
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.machine import untrusted_files
from trove_upgrade.guestagent.sealing import exposure
from trove_upgrade.guestagent.storage import volume_ownership
from trove_upgrade.guestagent.storage.stash import publish
from trove_upgrade.guestagent.upgrade.carried_image import OF_THE_JOB
from trove_upgrade.guestagent.upgrade.work import Guest, JobOutcome, Work

LOG = logs.get_logger(__name__)

#: Files that a line of the log names.
_NAMED = 20
_LAYOUT_UNKNOWN = 'VOLUME_LAYOUT_UNKNOWN'


def stash_roots(guest: Guest) -> list[pathlib.Path]:
    """Return what the stash keeps: the driver's files and copies of the agent's own two."""
    return [
        *guest.driver.stash_roots(),
        *(path for path in guest.layout.agent_files if path.exists()),
    ]


def check(work: Work) -> JobOutcome:
    """All checks, refused or not."""
    results = list(run(work))
    if work.call.options.bring_image and all(each.outcome in PASSING for each in results):
        results += _brought(work)
    return JobOutcome(
        f'{len(results)} checks were made in the guest.',
        Checked(tuple(results)).to_wire(),
    )


def _brought(work: Work) -> Sequence[CheckResult]:
    """Bring here what the new server needs; nothing of the database is touched, and nothing is
    tried: pre_upgrade does that, when the configuration may be another one.
    """
    name = 'guest_target'
    try:
        found = work.guest.driver.bring_target(work.call.target, work.progress)
    except OSError as error:
        return [base.files_not_read(name, error)]
    except (exceptions.StepRefused, exceptions.StepFailed) as error:
        if error.code in OF_THE_JOB:
            raise
        return [CheckResult.refused(name, error.message, error.code)]
    return [CheckResult.ok(name, found)] if found else []


def require(work: Work) -> None:
    """Go on only if every check allows it.

    :raises StepRefused: the first that does not, with its code.
    """
    for result in run(work):
        if result.outcome not in PASSING:
            raise exceptions.StepRefused(result.message, result.code or Code.CHECK_REFUSED)


def run(work: Work) -> Sequence[CheckResult]:
    """The agent's own checks; the driver's only where these hold: without the volume it would look
    at the wrong thing.
    """
    guest = work.guest
    work.progress(None, 'Looking at the volume and the database.')
    own = [
        _readable('guest_volume', _volume, guest),
        _readable('guest_database', _database, guest),
        _readable('guest_directories', _directories, guest),
    ]
    if any(result.outcome not in PASSING for result in own):
        return own
    own += [
        _readable('guest_volume_space', _space, guest),
        _readable('guest_secrets', _secrets, guest),
        _metadata(guest),
    ]
    try:
        return [*own, *guest.driver.checks(work.call.target, work.call.options)]
    except OSError as error:
        return [*own, base.files_not_read('guest_driver', error)]
    except exceptions.StepFailed as error:  # its directories have more in them than is looked at
        return [
            *own,
            CheckResult.refused('guest_driver', error.message, error.code),
        ]


def _readable(name: str, check: Callable[[Guest], CheckResult], guest: Guest) -> CheckResult:
    """Return the result of `check`; a refusal where something that must be there cannot be read."""
    try:
        return check(guest)
    except OSError as error:
        return base.files_not_read(name, error)


def _volume(guest: Guest) -> CheckResult:
    name, layout = 'guest_volume', guest.layout
    try:
        mounted = guest.volume.mounted()
    except exceptions.StepFailed as error:
        return CheckResult.refused(name, error.message, error.code)
    if mounted is None:
        return CheckResult.refused(
            name,
            f'Instance {guest.instance_id} cannot be upgraded: nothing is mounted at '
            f'{layout.volume}. Mount its volume there.',
            Code.VOLUME_NOT_MOUNTED,
        )
    refusal = _layout(guest) or _top(guest)
    if refusal is not None:
        return CheckResult.refused(name, refusal, _LAYOUT_UNKNOWN)
    return CheckResult.ok(name, f'Volume {mounted.uuid} is mounted at {layout.volume}.')


def _layout(guest: Guest) -> str | None:
    """Return why the data directory is not the one that is looked for, if so."""
    data = guest.layout.data_directory
    if not data.is_dir() or data.is_symlink():
        return (
            f'Instance {guest.instance_id} cannot be upgraded: its data directory is not at '
            f'{data}. Move it there.'
        )
    return None


def _top(guest: Guest) -> str | None:
    """Return why the volume's top cannot be taken at the stop, if so: it is another's than root's
    and the server's, so that another user could put other data in its place.
    """
    layout, top = guest.layout, volume_ownership.Top.of(guest.layout.volume)
    if guest.driver.shares_volume or top.is_roots():
        return None
    owner, data = guest.driver.volume_owner(), layout.data_directory.lstat()
    if owner is not None and top.is_of(owner, data.st_gid) and data.st_uid == owner:
        return None
    return (
        f'Instance {guest.instance_id} cannot be upgraded: others than root and the server can '
        f'write to {layout.volume}, beside the data. Give it to root, with mode 0755.'
    )


def require_layout(guest: Guest) -> None:
    """Go on only with the data directory in its place, once the volume's top is root's.

    :raises StepFailed: VOLUME_LAYOUT_UNKNOWN.
    """
    refusal = _layout(guest)
    if refusal is not None:
        raise exceptions.StepFailed(refusal, _LAYOUT_UNKNOWN)


def _database(guest: Guest) -> CheckResult:
    version = guest.driver.server_version()
    if version is None:
        return CheckResult.refused(
            'guest_database',
            f'Instance {guest.instance_id} cannot be upgraded: its database does not answer the '
            f'agent. Start it, and see that the agent can log in. {guest.driver.runs_as}'.rstrip(),
            Code.DATABASE_NOT_SERVING,
        )
    return CheckResult.ok('guest_database', f'The database answers: {version}.')


def _directories(guest: Guest) -> CheckResult:
    """Check the directories that root walks and keeps after the stop, and gives to the server's
    user after the rebuild.
    """
    name, layout = 'guest_directories', guest.layout
    for place in (layout.data_directory, *guest.driver.directories()):
        try:
            found = untrusted_files.too_deep(place)
            crowded = untrusted_files.too_many(place)
        except FileNotFoundError:
            continue
        except OSError as error:
            return CheckResult.refused(
                name,
                f'Instance {guest.instance_id} cannot be upgraded: not all of {place} can be '
                f'read ({error.strerror}). Mend that and try again.',
                'DIRECTORIES_NOT_READ',
            )
        if crowded:
            return CheckResult.refused(
                name,
                f'Instance {guest.instance_id} cannot be upgraded: {place} has more than '
                f'{untrusted_files.ENTRIES} files and directories. Remove what the server does '
                'not need.',
                Code.STASH_TOO_LARGE,
            )
        if found is not None:
            return CheckResult.refused(
                name,
                f'Instance {guest.instance_id} cannot be upgraded: below {found} directories '
                f'are nested more than {untrusted_files.LEVELS} deep, or paths are longer than '
                f'{untrusted_files.PATH_BYTES} bytes. Remove them and try again.',
                'DIRECTORIES_TOO_DEEP',
            )
    return CheckResult.ok(name, 'All directories of the database can be walked.')


def _space(guest: Guest) -> CheckResult:
    try:
        needed = publish.measure(stash_roots(guest)) + guest.settings.volume_margin_bytes
    except exceptions.StepFailed as error:
        return CheckResult.refused('guest_volume_space', error.message, error.code)
    free = guest.volume.free_bytes()
    if free < needed:
        return CheckResult.refused(
            'guest_volume_space',
            f'Instance {guest.instance_id} cannot be upgraded: its volume has {free >> 20} MB '
            f'free and the upgrade needs {(needed >> 20) + 1} MB to keep its files. Resize the '
            'volume and try again.',
            'VOLUME_SPACE',
        )
    return CheckResult.ok('guest_volume_space', f'The volume has {free >> 20} MB free.')


def _secrets(guest: Guest) -> CheckResult:
    """A warning, not a refusal: every guest of Trove's has such files, and the rebuild mends it.

    A tenant reads the report: what could be read, and how, is for the log.
    """
    name, layout = 'guest_secrets', guest.layout
    uid = untrusted_files.owner_of(layout.data_directory)
    if (
        guest.driver.shares_volume or uid == 0
    ):  # its container sees nothing of the root disk; root reads all anyway
        return CheckResult.ok(
            name, 'The database server has no user whose view of the root disk could be looked at.'
        )
    found = exposure.exposed(layout.root, exposure.Reader.of(uid))
    if not found:
        return CheckResult.ok(
            name, "The database server's user reads no file with the account of an agent."
        )
    LOG.warning(
        "The database server's user can read %s. The upgrade writes the files of user data with "
        'mode 0600; run chmod 0600 on the others, keep their owner, and unmount a config drive',
        ', '.join(str(path) for path in found[:_NAMED]),
    )
    return CheckResult.warning(
        name,
        f'Files of the guest can be read by more users than need them: {len(found)}. The '
        'upgrade corrects those that it writes; the operator finds their names in the log of '
        'the guest agent.',
        'GUEST_SECRETS_READABLE',
    )


def _metadata(guest: Guest) -> CheckResult:
    opening = guest.metadata.opening()
    if opening is None:
        return CheckResult.ok(
            'guest_metadata', 'The metadata address is closed for all users but root.'
        )
    LOG.warning(
        '%s. Take an image that closes it, as the page on images describes, and look whether '
        'trove-upgrade-metadata runs',
        opening,
    )
    return CheckResult.warning(
        'guest_metadata',
        'The guest does not limit which of its users reach the services of the cloud. The '
        'operator finds the cause in the log of the guest agent.',
        'METADATA_REACHABLE',
    )

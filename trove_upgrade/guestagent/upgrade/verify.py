# SPDX-License-Identifier: Apache-2.0
"""verify_upgrade: what the server itself says, one row written and removed, and whether a plain
reboot would serve again.
"""

from trove_upgrade.domain import exceptions, versions
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.guest_results import Verified
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.upgrade_checks import CheckOutcome, CheckResult
from trove_upgrade.guestagent.machine import service
from trove_upgrade.guestagent.upgrade.marks import Mark
from trove_upgrade.guestagent.upgrade.work import Guest, JobOutcome, Work


def verify(work: Work) -> JobOutcome:
    """All of it holds: from now on the stash is not needed.

    :raises StepFailed: the first that does not.
    """
    guest = work.guest
    work.progress(None, 'Asking the server for its version.')
    version = guest.driver.server_version()
    if version is None:
        raise exceptions.StepFailed(
            f'Instance {guest.instance_id} does not serve after the upgrade: its database does not '
            'answer. Look into its error log in the guest.',
            Code.DATABASE_NOT_SERVING,
        )
    work.progress(None, 'Writing and removing one row.')
    guest.driver.write_probe()
    results = [compare_version(version, work.call.target), *_durable(guest)]
    for result in results:
        if result.outcome == CheckOutcome.REFUSED:
            raise exceptions.StepFailed(result.message, result.code or 'VERIFY_FAILED')
    guest.marks.set(Mark.VERIFIED, work.call.upgrade_id)
    return JobOutcome(
        f'The database serves as {version}.', Verified(version, tuple(results)).to_wire()
    )


def require_version(version: str, target: TargetFacts, untouched: str) -> None:
    """Refuse another version before its server does more; `untouched`: a sentence about what has
    not happened.

    :raises StepFailed: SERVER_VERSION_DIFFERS.
    """
    result = compare_version(version, target)
    if result.outcome == CheckOutcome.REFUSED:
        raise exceptions.StepFailed(
            f'{untouched} {result.message}', result.code or Code.SERVER_VERSION_DIFFERS
        )


def compare_version(version: str, target: TargetFacts) -> CheckResult:
    """Compare versions as far as the target's facts name it: 11.8 is satisfied by 11.8.6, 11.8.6 by
    nothing else.
    """
    expected = target.server_version
    if not versions.is_same(expected, version):
        return CheckResult.refused(
            'guest_server_version',
            (
                f'The wrong server runs: {version}, expected {expected}. '
                f'Look at the image of the datastore version.'
            ),
            Code.SERVER_VERSION_DIFFERS,
        )
    return CheckResult.ok('guest_server_version', f'The server says that it is {version}.')


def _durable(guest: Guest) -> list[CheckResult]:
    mounted = guest.volume.mounted()
    if mounted is None or not guest.volume.in_fstab(mounted.uuid):
        return [
            CheckResult.refused(
                'guest_mount',
                (
                    f'The database would not come back after a reboot: {guest.layout.fstab} does '
                    'not mount the volume by its UUID. Retry the upgrade.'
                ),
                'MOUNT_NOT_DURABLE',
            )
        ]
    results = [CheckResult.ok('guest_mount', f'Volume {mounted.uuid} is mounted at boot.')]
    own = guest.driver.autostart_is_durable()
    if own is not None:
        results.append(own)
    elif not guest.service.is_enabled(service.DATABASE):
        results.append(
            CheckResult.refused(
                'guest_autostart',
                (
                    f'The database would not come back after a reboot: service '
                    f'{service.DATABASE} is not enabled. Retry the upgrade.'
                ),
                Code.AUTOSTART_NOT_DURABLE,
            )
        )
    else:
        results.append(
            CheckResult.ok('guest_autostart', f'Service {service.DATABASE} is started at boot.')
        )
    return results

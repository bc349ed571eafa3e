# SPDX-License-Identifier: Apache-2.0
"""The key that a rebuilt guest gets with its user data, and what forbids a rebuild for its key's
sake.

A guest that has spoken under a key is spoken to under one for ever: a root disk with an agent
without keys would be mute.  So the images that a rebuild and a rollback boot have to have an agent
that is recorded to know them.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from trove_upgrade.domain import checks, exceptions, ports
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.domain.upgrades import Upgrade
from trove_upgrade.sealing.at_rest import KeyUnreadable
from trove_upgrade.sealing.keys import GuestKey
from trove_upgrade.sealing.ports import GuestKeys, KnownKey

#: The fact of an image: the highest guest RPC version of the agent in it.
FACT = 'guest_rpc'

#: Stable code of `not_carried`.
NOT_CARRIED = 'GUEST_KEY_NOT_CARRIED'

_SEALED_SINCE = (1, 2)
_CHECK = 'guest_key'
#: Below, Nova writes files into the guest itself, and others than root can read them: an agent
#: takes no such key. Source: Nova api-ref, "Rebuild Server", microversion 2.57; cloud-init 25.1,
#: DataSourceConfigDrive.write_injected_files.
_CARRIED_SINCE = (2, 57)


class OlderTaskmanager(exceptions.TroveUpgradeError):
    """One of a release before this one is registered, and would render user data without the
    guest's key.
    """

    code = Code.TASKMANAGER_OLDER
    template = (
        'Instance {instance_id} is not rebuilt now: its guest has a key, and a taskmanager of an '
        'earlier release is registered ({found}), '
        'which knows none. Stop it; one that is gone is removed with "trove-upgrade-manage service '
        'forget".'
    )


def knows_sealed_calls(facts: Mapping[str, Any]) -> bool:
    """Return whether the facts of a version record an agent that knows sealed calls."""
    parts = str(facts.get(FACT) or '').split('.')
    if len(parts) != 2 or not all(
        part.isascii() and part.isdigit() and len(part) < 6 for part in parts
    ):
        return False
    return (int(parts[0]), int(parts[1])) >= _SEALED_SINCE


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeyDelivery:
    """Reads keys and facts of versions; makes keys."""

    keys: GuestKeys
    datastores: ports.DatastoreRepository
    older_taskmanager: Callable[[], str | None]  #: names one; None: there is none
    is_off: bool = False  #: nothing is sealed

    def has_key(self, instance_id: str) -> bool:
        """Return whether the guest has spoken under a key; one that cannot be decrypted is one,
        too.
        """
        try:
            return self._known(instance_id) is not None
        except KeyUnreadable:
            return True

    def is_bridges(self, instance_id: str) -> bool:
        """Return whether the guest speaks under a key that a bridge has brought, with the agent."""
        try:
            known = self._known(instance_id)
        except KeyUnreadable:
            return False
        return known is not None and known.is_bridges

    def gives_key(self, version_id: str, image_id: str | None) -> bool:
        """Return whether a rebuild with this image of the version would bring a key, as far as
        these and the operator decide.
        """
        return not self.is_off and self.keys.mints() and self._is_sealing(version_id, image_id)

    def has_agent(self, version_id: str, image_id: str | None) -> bool:
        """Return whether the facts of a version record an agent of ours in this image."""
        of_images = self.datastores.agents_by_image(version_id)
        if of_images and image_id:
            return bool(of_images.get(image_id))
        return bool(self.datastores.target_facts(version_id).get(FACT))

    def check(
        self,
        instance_id: str,
        former: tuple[str, str | None] | None,
        target: tuple[str, str | None],
    ) -> list[CheckResult]:
        """Return what forbids an upgrade of an instance for its key's sake, and how the guest is
        spoken to.

        `former` and `target`: the version and its image; None: the version has tags.  Without
        `former` no rollback boots that one.
        """
        try:
            known = self._known(instance_id)
        except KeyUnreadable as error:
            return [checks.refused(_CHECK, error.message, error.code)]
        if known is None:
            return [
                checks.ok(_CHECK, 'The guest has no key: messages to and from it are not sealed.')
            ]
        if not self._is_sealing(*target):
            which = 'the version that it should go to'
            return [self._too_old(instance_id, which, *target, code='AGENT_TOO_OLD_FOR_KEY')]
        if former is not None and not self._is_sealing(*former):
            which = 'its present version, which a rollback would boot,'
            return [self._too_old(instance_id, which, *former, code='FORMER_AGENT_UNKNOWN')]
        older = self.older_taskmanager()
        if older is not None:
            forbidden = OlderTaskmanager(instance_id=instance_id, found=older)
            return [checks.refused(_CHECK, forbidden.message, forbidden.code)]
        return [checks.ok(_CHECK, 'Messages to and from the guest are sealed with its key.')]

    def for_rebuild(self, upgrade: Upgrade, *, is_carried: bool = True) -> GuestKey | None:
        """Return the key of the rebuild that the row's marker belongs to, made at the first call;
        None: that one gets none.

        `is_carried`: `is_carried_by` the Nova that is asked.

        :raises OlderTaskmanager: it has to get one, and none may be made now.
        :raises StepRefused: it would need one, and its image has no agent that knows keys.
        :raises KeyUnreadable: no entry of the operator's list opens the one that was made.
        """
        if self.is_off or not self.keys.mints():
            return None
        made = self.keys.minted_for(upgrade.instance_id, upgrade.marker)
        if made is not None:
            return made
        needs_key = self.has_key(upgrade.instance_id) and not is_unsealed_rollback(upgrade)
        if not self._takes_key(upgrade):
            if needs_key:
                refused = self._too_old(
                    upgrade.instance_id,
                    'its next version',
                    upgrade.wanted_version_id,
                    upgrade.wanted_image_id,
                    code='AGENT_TOO_OLD_FOR_KEY',
                )
                raise exceptions.StepRefused(refused.message, refused.code or '')
            return None
        if not is_carried:
            if needs_key:
                raise exceptions.StepRefused(not_carried(upgrade.instance_id), NOT_CARRIED)
            return None
        older = self.older_taskmanager()
        if older is None:
            return self.keys.mint(upgrade.instance_id, upgrade.marker)
        if needs_key:
            raise OlderTaskmanager(instance_id=upgrade.instance_id, found=older)
        return None

    def after_rebuild(self, upgrade: Upgrade) -> None:
        """Nova has taken the rebuild of the row's marker: a guest that went back to an agent
        without keys has none any more.
        """
        if (
            is_unsealed_rollback(upgrade)
            and not self.is_off
            and self.keys.minted_id(upgrade.instance_id, upgrade.marker) is None
        ):
            self.keys.retire(upgrade.instance_id)

    def _known(self, instance_id: str) -> KnownKey | None:
        return None if self.is_off else self.keys.current(instance_id)

    def _is_sealing(self, version_id: str, image_id: str | None) -> bool:
        """Return whether the agent in this image knows sealed calls.

        The facts of a version are its last image's: they tell nothing of one that it had before,
        which has facts of its own or none.
        """
        of_images = self.datastores.agents_by_image(version_id)
        if of_images and image_id:
            return knows_sealed_calls({FACT: of_images.get(image_id)})
        return knows_sealed_calls(self.datastores.target_facts(version_id))

    def _takes_key(self, upgrade: Upgrade) -> bool:
        """Return whether the image of the next rebuild does.

        A guest that had none goes back without one unless its image is known: boot would wait for a
        word under the key.
        """
        of_images = self.datastores.agents_by_image(upgrade.wanted_version_id)
        if is_unsealed_rollback(upgrade) and upgrade.wanted_image_id not in of_images:
            return False
        return self._is_sealing(upgrade.wanted_version_id, upgrade.wanted_image_id)

    def _too_old(
        self, instance_id: str, which: str, version_id: str, image_id: str | None, code: str
    ) -> CheckResult:
        image = f', image {image_id}' if image_id else ''
        return checks.refused(
            _CHECK,
            f'Instance {instance_id} cannot be upgraded: its guest has a key, and the facts of '
            f'{which} (version {version_id}{image}) record '
            f'no agent that knows sealed calls ({FACT} 1.2 or above). If the image has such an '
            'agent, register the version with this image '
            'and its facts; if not, put an agent of this release into an image and register that.',
            code,
        )


def is_carried_by(microversion: tuple[int, int]) -> bool:
    """Return whether a Nova that is asked with `microversion` brings a key to a guest as root's
    alone.
    """
    return microversion >= _CARRIED_SINCE


def not_carried(instance_id: str) -> str:
    """Return why a guest that has a key is not rebuilt by such a Nova."""
    return (
        f'Instance {instance_id} cannot be rebuilt: its guest has a key, and with a microversion '
        'of Nova below 2.57 a new one would reach it '
        'readable for others than root. Raise [trove_upgrade] compute_max_microversion, or upgrade '
        'Nova.'
    )


def is_unsealed_rollback(upgrade: Upgrade) -> bool:
    """Return whether the row leads back to a guest that had no key when the upgrade began."""
    return upgrade.is_rolling_back and upgrade.progress.former.had_key is False

# SPDX-License-Identifier: Apache-2.0
"""Creation of the database's container on this root disk, from its record: with the image that was
chosen, and the passwords that are on the volume.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from trove_upgrade.guestagent.datastores.mysql_family.container import credentials, definition
from trove_upgrade.guestagent.datastores.mysql_family.container.autostart import OFF
from trove_upgrade.guestagent.datastores.mysql_family.container.health_account import HealthAccount
from trove_upgrade.guestagent.datastores.mysql_family.container.images import Images
from trove_upgrade.guestagent.datastores.mysql_family.container.privileges import Privileges
from trove_upgrade.guestagent.datastores.mysql_family.container.record import (
    ImageChoice,
    Record,
    Records,
)
from trove_upgrade.guestagent.machine.containers.engine import Engine

_ROOT_PASSWORDS = frozenset({'MYSQL_ROOT_PASSWORD', 'MARIADB_ROOT_PASSWORD'})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Creation:
    """Means to make the database's container from a record."""

    engine: Engine
    images: Images
    records: Records
    privileges: Privileges
    health: HealthAccount
    volume: pathlib.Path  #: with the passwords

    def create(
        self,
        name: str,
        record: Record,
        *,
        command: Sequence[str] | None = None,
        network: str | None = None,
        at_first: str | None = None,
    ) -> None:
        """Create a container that the engine never restarts: a server that ends at its start has
        failed, and is looked at.  `network` is in its definition in the place of its own;
        `at_first` is where it is until it is connected to that.

        Isolated, the entrypoint's own upgrade is off.  Said so, and not left out: an image can have
        it on, and the engine adds what an image says to all that a container does not.  Empty is
        off for the entrypoints of MariaDB's project and of the lab.  The final container has
        Trove's value again, or the image's: the data is upgraded by then, so that the entrypoint
        finds nothing to do, and it must be as Trove's agent would make it.  Empty there, too, where
        an entrypoint that looks for its health check would touch the customer's accounts, and where
        the isolated container is the final one: the data is as new as its image from then on.
        """
        image = self._image(record)
        environment: dict[str, str | None] = {
            secret: self._secret(secret) for secret in record.secrets
        }
        if network or at_first or self._must_leave_accounts(record, image):
            environment[definition.AUTO_UPGRADE] = ''
        self.engine.create(
            name,
            self.privileges.given(record.definition),
            image=image.reference,
            command=command,
            env=environment,
            network=network,
            at_first=at_first,
            restart=OFF,
        )

    def command(self, record: Record) -> Sequence[str]:
        """Return what the container's program is told: by its image where the container has
        nothing of its own.
        """
        return definition.command(record.definition) or definition.command(
            {'Config': self._brought(self._image(record))}
        )

    def makes_accounts(self, record: Record) -> bool:
        """Return whether the entrypoint has to make the accounts of its health check."""
        brought = self._brought(self._image(record))
        return (
            definition.upgrades_by_itself(record.definition, brought)
            and self.health.may_be_made(_health_check(record, brought))
            and not self.health.are_made()
        )

    def _must_leave_accounts(self, record: Record, image: ImageChoice) -> bool:
        brought = self._brought(image)
        return definition.upgrades_by_itself(
            record.definition, brought
        ) and not self.health.may_be_made(_health_check(record, brought))

    def _brought(self, image: ImageChoice) -> Mapping[str, Any]:
        inspected = self.engine.image(image.reference)
        return inspected.config if inspected is not None else {}

    def _image(self, record: Record) -> ImageChoice:
        """Bring the image here again where it was removed: an operator mends a broken one so,
        before the retry.
        """
        known = record.chosen or record.former
        if self.engine.image(known.reference) is not None:
            return known
        found = self.images.fetch_again(
            known, lambda _percent, _sentence: None, exact=known.image_id == record.former.image_id
        )
        if record.chosen is not None:
            self.records.write(dataclasses.replace(record, chosen=found))
        return found

    def _secret(self, name: str) -> str | None:
        return credentials.password(self.volume, 'root') if name in _ROOT_PASSWORDS else None


def _health_check(record: Record, brought: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the container's own, or that of its image."""
    return (record.definition.get('Config') or {}).get('Healthcheck') or brought.get('Healthcheck')

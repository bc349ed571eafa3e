# SPDX-License-Identifier: Apache-2.0
"""The login for a registry, which only that registry gets."""

import base64
import dataclasses
import json
from collections.abc import Mapping

from trove_upgrade.domain import image_reference
from trove_upgrade.domain.image_reference import ImageReference


@dataclasses.dataclass(frozen=True)
class RegistryLogin:
    """User and password at one registry."""

    address: str  #: a host, or a URL as Trove's configuration has it
    username: str
    password: str = dataclasses.field(repr=False)

    def headers(self, reference: str) -> Mapping[str, str] | None:
        """Return what the engine is to hand to the registry of `reference`; None where the login is
        of another one.
        """
        try:
            registry = ImageReference.parse(reference).registry
        except ValueError:
            return None
        if registry != image_reference.registry_of(self.address):
            return None
        login = {
            'username': self.username,
            'password': self.password,
            'serveraddress': self.address,
        }
        return {'X-Registry-Auth': base64.urlsafe_b64encode(json.dumps(login).encode()).decode()}

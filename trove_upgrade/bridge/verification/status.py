# SPDX-License-Identifier: Apache-2.0
"""The status that the service shows."""

from trove_upgrade.bridge.verification.result import Verified
from trove_upgrade.domain.database_service import DatabaseInstance

NAME = 'status'


def check(shown: DatabaseInstance, waited_seconds: float) -> Verified:
    """Look whether it serves; `waited_seconds`: for how long it may have taken to."""
    if shown.is_serving:
        return Verified.ok(NAME, f'The service shows {shown.state}.')
    fault = f' Its fault: {shown.fault}.' if shown.fault else ''
    return Verified.failed(
        NAME, f'The service still shows {shown.state} after {waited_seconds:g} s.{fault}'
    )

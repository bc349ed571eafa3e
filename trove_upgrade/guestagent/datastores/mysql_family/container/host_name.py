# SPDX-License-Identifier: Apache-2.0
"""A container's host name, which is its id: what is named after it has not changed."""

import dataclasses

from trove_upgrade.guestagent.datastores import base


def leave_out(
    before: base.Fingerprint, after: base.Fingerprint, found: base.Comparison
) -> base.Comparison:
    """Return `found` without settings that differ by the host name alone."""
    then, now = (fingerprint.settings.get('hostname', '') for fingerprint in (before, after))
    return dataclasses.replace(
        found,
        settings_changed=[
            change
            for change in found.settings_changed
            if not then or change.before.replace(then, now) != change.after
        ],
    )

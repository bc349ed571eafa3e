# SPDX-License-Identifier: Apache-2.0
"""Upgrades that have ended, for tests of what looks at them afterwards."""

import datetime

from trove_upgrade.domain.progress import Progress, RestoreProgress
from trove_upgrade.domain.states import Step, UpgradeState
from trove_upgrade.domain.upgrades import Upgrade

NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)


def an_ended_upgrade(*, fingerprint, **changes):
    """An upgrade with this comparison of the data."""
    values = {
        'id': 'u1',
        'instance_id': 'i1',
        'project_id': 'p1',
        'instance_name': 'db1',
        'server_id': 's1',
        'state': UpgradeState.COMPLETED,
        'step': Step.VERIFY,
        'attempt': 1,
        'rebuild_attempt': 1,
        'former_version_id': 'v1',
        'target_version_id': 'v2',
        'former_image_id': 'image-1',
        'target_image_id': 'image-2',
        'datastore_manager': 'mariadb',
        'target_number': '11.8.6',
        'generation': 1,
        'created_at': NOW,
        'updated_at': NOW,
        'progress': Progress(restore=RestoreProgress(fingerprint=fingerprint)),
    }
    return Upgrade(**{**values, **changes})

# SPDX-License-Identifier: Apache-2.0
"""Drift: figures of projects, and instances."""

from typing import Any

from trove_upgrade.api.views import shapes
from trove_upgrade.domain.drift import DriftedInstance, ProjectDrift


def project(found: ProjectDrift) -> dict[str, Any]:
    """Figures of one project."""
    return {
        'project_id': found.project_id,
        'instances': found.instances,
        'drifted': found.drifted,
        'unknown': found.unknown,
        'oldest': shapes.time(found.oldest),
    }


def instance(found: DriftedInstance) -> dict[str, Any]:
    """An instance that has drifted, or may have."""
    version = found.version
    return {
        'instance_id': found.instance_id,
        'instance_name': found.instance_name,
        'datastore_version': None
        if version is None
        else {'id': version.id, 'name': version.name, 'version': version.number},
        'booted_image_id': found.booted_image_id,
        'current_image_id': found.current_image_id,
        'since': shapes.time(found.since),
    }

# SPDX-License-Identifier: Apache-2.0
"""Drift, as the service answers it to admins."""

from troveupgradeclient.tests.standin import world as worlds


def of_projects(app, query, _body):
    """Figures of each project."""
    found = [
        {
            'project_id': project_id,
            'instances': 12,
            'drifted': len(instances),
            'unknown': 1,
            'oldest': '2026-06-01T00:00:00',
        }
        for project_id, instances in app.world.drift.items()
    ]
    return app.page('upgrade_drift', found, query, 'project_id')


def of_project(app, query, _body, project_id):
    """Instances of a project that have drifted."""
    found = [
        {
            'instance_id': instance_id,
            'instance_name': 'orders',
            'datastore_version': worlds.version(worlds.V10_11),
            'booted_image_id': worlds.new_id('image', 1),
            'current_image_id': worlds.new_id('image', 2),
            'since': '2026-06-01T00:00:00',
        }
        for instance_id in app.world.drift.get(project_id, ())
    ]
    return app.page('instances', found, query, 'instance_id')

# SPDX-License-Identifier: Apache-2.0
"""Rules of datastores and their versions, which belong to no project."""

from trove_upgrade.api.policies import base

LIST = 'trove_upgrade:datastores:list'
SHOW = 'trove_upgrade:datastores:show'

_DATASTORES = '/v1.0/{project_id}/datastores'

RULES = [
    base.rule(
        LIST,
        base.READER,
        'List datastores, or the versions of one.',
        ('GET', _DATASTORES),
        ('GET', f'{_DATASTORES}/{{datastore}}/versions'),
    ),
    base.rule(
        SHOW,
        base.READER,
        'Show a datastore or a version. What is not active is shown to admins only.',
        ('GET', f'{_DATASTORES}/{{datastore}}'),
        ('GET', f'{_DATASTORES}/{{datastore}}/versions/{{version}}'),
        ('GET', f'{_DATASTORES}/versions/{{version_id}}'),
    ),
]

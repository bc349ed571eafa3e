# SPDX-License-Identifier: Apache-2.0
"""Policy rule of the API's description."""

from trove_upgrade.api.policies import base

SHOW = 'trove_upgrade:openapi:show'

RULES = [
    base.rule(
        SHOW,
        base.READER,
        'Show the description of the API in OpenAPI. It holds nothing of any project.',
        ('GET', '/v1.0/{project_id}/upgrade-openapi'),
    ),
]

# SPDX-License-Identifier: Apache-2.0
"""The version documents, which need no token."""

from typing import Any

import webob

from trove_upgrade.api.call import VERSION_PATH, json_response

_UPDATED = '2012-08-01T00:00:00Z'


def documents(request: webob.Request, public_endpoint: str | None) -> webob.Response:
    """`/` lists the versions, `/v1.0/` shows the one there is."""
    base = (public_endpoint or request.application_url).rstrip('/')
    version: dict[str, Any] = {
        'id': 'v1.0',
        'status': 'CURRENT',
        'updated': _UPDATED,
        'links': [{'rel': 'self', 'href': f'{base}{VERSION_PATH}/'}],
    }
    if request.path_info.strip('/'):
        return json_response(200, {'version': version})
    return json_response(200, {'versions': [version]})

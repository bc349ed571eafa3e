# SPDX-License-Identifier: Apache-2.0
"""The API's description, for callers with a token."""

from collections.abc import Callable

import webob

from trove_upgrade.api.call import Call, json_response
from trove_upgrade.api.openapi import Description


def shower(description: Description) -> Callable[[Call], webob.Response]:
    """Return the handler that shows a description."""

    def show(call: Call) -> webob.Response:
        return json_response(200, description.document(call.base_url))

    return show

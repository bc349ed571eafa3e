# SPDX-License-Identifier: Apache-2.0
"""Form of a request context and arguments in a message."""

from collections.abc import Mapping
from typing import Any

import oslo_messaging
from oslo_context import context as oslo_context

from trove_upgrade.domain import printable

#: Characters of one text of a context.
_LONGEST = 1024
#: Never put on the wire: no process on the other side acts as the user.
_SECRETS = frozenset({'auth_token', 'service_token', 'trustor_id', 'trust_id'})


class MessageContext(oslo_context.RequestContext):
    """Belongs to a message, not to the thread: otherwise the first one would stand in all later log
    lines of a worker.
    """

    def update_store(self) -> None:
        """Leave the thread's own context alone."""


class RequestContextSerializer(oslo_messaging.JsonPayloadSerializer):
    """Arguments become JSON; of the context only the caller and the request, no token."""

    def serialize_context(self, context: oslo_context.RequestContext) -> dict[str, Any]:
        """Return the context as a dictionary without secrets."""
        wire: dict[str, Any] = context.to_dict()
        return {
            key: value for key, value in wire.items() if key not in _SECRETS and value is not None
        }

    def deserialize_context(self, context: Mapping[str, Any]) -> oslo_context.RequestContext:
        """Make a context, not as the thread's current one: endpoints do that if they want their
        logs to carry it.

        Entries of another type are left out, and so are texts that are not one printable line: ids
        of requests stand in the log.
        """
        return MessageContext.from_dict(
            {key: value for key, value in context.items() if _is_entry(value)}
        )


def _is_entry(value: Any) -> bool:
    if isinstance(value, list):
        return all(printable.is_plain(one, _LONGEST) for one in value)
    return value is None or isinstance(value, bool) or printable.is_plain(value, _LONGEST)


def service_context(request_id: str | None = None) -> oslo_context.RequestContext:
    """The context of work that no request is waiting for; `request_id` ties it to the one that
    began it.
    """
    return MessageContext(request_id=request_id)

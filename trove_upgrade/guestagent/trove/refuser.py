# SPDX-License-Identifier: Apache-2.0
"""The endpoint that refuses every call for Trove's agent; `refusing_server` starts and ends it."""

from collections.abc import Callable

import oslo_messaging
from oslo_config import cfg

from trove_upgrade.domain import exceptions, logs
from trove_upgrade.rpc import transport

LOG = logs.get_logger(__name__)

#: Above any version of Trove's guest API 1.x.
_VERSION = '1.999'


class UpgradeRuns(exceptions.TroveUpgradeError):
    """A caller of Trove's agent during an upgrade is told at once, not after a time-out."""

    code = 'UPGRADE_RUNS'
    template = (
        '{method} was not done: an upgrade has the database of this guest in hand. Ask '
        'again when it has ended.'
    )


class Refuser:
    """An endpoint that has every method, and does none of it."""

    target = oslo_messaging.Target(version=_VERSION)

    def __getattr__(self, method: str) -> Callable[..., None]:
        # the dispatcher looks for one of its own and warns where it is
        if method.startswith(('_', 'oslo_')):
            raise AttributeError(method)

        @oslo_messaging.expected_exceptions(UpgradeRuns)
        def refuse(_context: object, **_arguments: object) -> None:
            LOG.warning(
                "Call %s for Trove's agent is refused: an upgrade has the database in hand", method
            )
            raise UpgradeRuns(method=method)

        return refuse


def server(
    conf: cfg.ConfigOpts, topic_prefix: str, instance_id: str
) -> oslo_messaging.MessageHandlingServer:
    """A server where Trove's agent of this instance would be.  Nothing is decrypted: method names
    travel in clear.
    """
    target = oslo_messaging.Target(topic=f'{topic_prefix}{instance_id}', server=instance_id)
    return oslo_messaging.get_rpc_server(
        transport.get_answering_transport(conf),
        target,
        [Refuser()],
        access_policy=oslo_messaging.DefaultRPCAccessPolicy,
    )

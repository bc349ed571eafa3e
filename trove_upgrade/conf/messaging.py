# SPDX-License-Identifier: Apache-2.0
"""Options of RPC and notifications.

The broker itself is oslo.messaging's `transport_url`; notifications go where
`[oslo_messaging_notifications]` says.
"""

from oslo_config import cfg

#: Of our agent where Trove's own is in the guest, too.
PREFIX_BESIDE_TROVE = 'trove-upgrade-guest.'
#: On which the agents of Trove listen, or every queue of that exchange.
PREFIXES_OF_TROVE = frozenset({'guestagent.', ''})

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'guest_transport_url',
        default=None,
        secret=True,
        help='Broker, account and virtual host by which taskmanagers and guest agents of ours '
        'reach each other, in the form of transport_url. Unset: transport_url. Taskmanagers listen '
        'at both; APIs, notifications and the agent of Trove keep transport_url. In the '
        'configuration of a guest: the account of this guest. With a virtual host of their own '
        'guests need no account in the one of the services.',
    ),
    cfg.StrOpt(
        'rpc_exchange',
        default='trove-upgrade',
        help='Exchange of all our RPC. Every API, taskmanager and guest agent must name the same '
        'one; it is set apart from control_exchange so that the paste filter inside Trove and a '
        'taskmanager outside it agree.',
    ),
    cfg.StrOpt(
        'taskmanager_topic',
        default='trove-upgrade-taskmanager',
        help='Topic that the taskmanagers listen on. Change it only where two installations share '
        'one broker and one exchange; APIs and guests that name another topic are not heard.',
    ),
    cfg.StrOpt(
        'guest_topic_prefix',
        default='guestagent.',
        help='What stands before the instance id in the topic of a guest agent. "guestagent." '
        'where our agent is the one agent of the guest, "trove-upgrade-guest." where the agent of '
        "Trove runs beside it: two consumers of one topic would take each other's messages; an "
        'agent that finds the other one in its guest takes the second by itself. Taskmanagers and '
        'guests must agree.',
    ),
    cfg.FloatOpt(
        'guest_call_timeout',
        default=15.0,
        min=0.5,
        max=600.0,
        help='Seconds to wait for the answer of a guest agent, which never works longer than a few '
        'seconds before it answers. Too low: a loaded guest is asked again and again. Too high: a '
        'guest that works on a call and never answers holds a worker that long; one that has '
        'answered before and gives no sign that it works is given up after 5 s.',
    ),
    cfg.StrOpt(
        'taskmanager_rpc_version_cap',
        default=None,
        help='Highest version of the taskmanager RPC API that an API sends while older '
        'taskmanagers are still alive: 1.0 or 1.1. Unset: the newest. Guests that have a key send '
        '1.2 whatever it is.',
    ),
    cfg.IntOpt(
        'taskmanager_message_ttl',
        default=3600,
        min=1,
        max=604800,
        help='Seconds that a message to the taskmanagers, a nudge or the heartbeat of a guest, may '
        'wait in their queue; what no taskmanager has read by then the broker drops, once it is '
        'the oldest there. Read by APIs and guests. Below 3600, the interval of a quiet guest: '
        'after a pause of all taskmanagers guests count as silent until they speak again. Higher: '
        'more messages of each guest wait.',
    ),
    cfg.IntOpt(
        'nudge_queue_size',
        default=200,
        min=1,
        max=100000,
        help='Nudges that may wait for the broker in one API process. What does not fit is '
        'dropped, which delays an upgrade by at most the poll interval of the '
        'taskmanagers and never loses it.',
    ),
]

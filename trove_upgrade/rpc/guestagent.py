# SPDX-License-Identifier: Apache-2.0
"""Client side of the guest agent's RPC API: sealed where the guest has a key, else as it was before
there were keys.
"""

import functools
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

import oslo_messaging
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.conf import guest_keys as guest_keys_conf
from trove_upgrade.domain import answers, exceptions, guests, logs, origin, upgrade_info
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.drops import Drops
from trove_upgrade.domain.guest_results import Quiesced
from trove_upgrade.domain.guests import Method
from trove_upgrade.rpc import answer_wait, either_place, place, sealed_calls, serializer, transport
from trove_upgrade.rpc.sealed_calls import AnswerNotAuthentic, Unreadable
from trove_upgrade.sealing import messages
from trove_upgrade.sealing.at_rest import KeyUnreadable
from trove_upgrade.sealing.ports import GuestKeys, KnownKey

LOG = logs.get_logger(__name__)

#: Of the answers that are made up here because the agent could not say it itself.
CODE_TOO_OLD = 'GUEST_AGENT_TOO_OLD'
CODE_INTERNAL = 'GUEST_AGENT_ERROR'
CODE_BOUNDS = 'GUEST_ANSWER_OUT_OF_BOUNDS'

#: Source: traceback.format_tb of Python's library.
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')


class _Caller(Protocol):
    """Caller: oslo.messaging's RPC client, or a test's stand-in."""

    def prepare(self, **target: Any) -> Any:
        """A client for one guest's topic."""


class GuestAgentAPI:
    """Client side of the guest agent's RPC API; implements `domain.ports.Guest`.

    Version history; a line is never edited once it has been released:

    * 1.0 - pre_upgrade(), post_upgrade(upgrade_info): the specification's two
    * 1.1 - check_upgrade, pre_upgrade, abort_upgrade, post_upgrade, verify_upgrade, finish_upgrade,
      each with the fields of `domain.guests.GuestCall` as keyword arguments, and a
      `domain.guests.GuestAnswer` as a dictionary

    * 1.2 - sealed(envelope): each method of 1.1, and greet, in an envelope; the answer is in one,
      too

    A guest that has spoken under its key is asked by 1.2 alone.  Any other one is asked by 1.1, and
    an agent that knows only 1.0 in that way for what 1.0 has; all else is answered here, as it
    would.
    """

    def __init__(
        self,
        client: _Caller,
        *,
        topic_prefix: str,
        timeout_seconds: float,
        require_broker: Callable[[float], None] = lambda _timeout_seconds: None,
        keys: GuestKeys | None = None,
        drops: Drops | None = None,
        is_required: bool = True,
        doubt: Callable[[str], None] = lambda _topic: None,
    ) -> None:
        """`require_broker` is asked until the first call has been answered: only that one could
        hang.

        `keys`: None where nothing is sealed.  `is_required`: False lets a guest with a key be asked
        unsealed where it cannot be otherwise. `doubt` is called with a guest's topic if
        something else has answered in its place.
        """
        self._client = client
        self._require_broker = require_broker
        self._connected = False
        self._speakers = answer_wait.Speakers()
        self._prefix = topic_prefix
        self._timeout = timeout_seconds
        self._keys = keys
        self._is_required = is_required
        self._doubt = doubt
        self._sealed = (
            None
            if keys is None
            else sealed_calls.SealedCalls(
                self._call, keys, drops or Drops(time.monotonic), timeout_seconds=timeout_seconds
            )
        )

    @classmethod
    def from_conf(
        cls,
        conf: cfg.ConfigOpts,
        rpc_transport: oslo_messaging.Transport | None = None,
        *,
        keys: GuestKeys | None = None,
        drops: Drops | None = None,
    ) -> Self:
        """Make a client with transports of its own unless one is handed in. Connects at the first
        call.

        Where guests have a virtual host of their own, each is called there or at the services',
        where it still listens: see `either_place`.
        """
        options = conf[our_conf.GROUP]
        name = functools.partial(
            cls,
            topic_prefix=options.guest_topic_prefix,
            timeout_seconds=options.guest_call_timeout,
            keys=None if options.guest_rpc_security == guest_keys_conf.OFF else keys,
            drops=drops,
            is_required=options.guest_rpc_security == guest_keys_conf.REQUIRED,
        )
        places = place.of_taskmanagers(conf) if rpc_transport is None else ()
        if len(places) > 1:
            either = either_place.EitherPlace(*(_caller(conf, at) for at in places))
            return name(either, doubt=either.doubt)
        return name(
            _client(conf, rpc_transport or transport.get_transport(conf)),
            require_broker=functools.partial(transport.require_broker, conf),
        )

    def check_upgrade(self, call: guests.GuestCall) -> guests.GuestAnswer:
        """Run all checks in the guest; nothing is changed."""
        return self._ask(Method.CHECK_UPGRADE, call)

    def pre_upgrade(self, call: guests.GuestCall) -> guests.GuestAnswer:
        """Check, fingerprint, stop, stash, unmount."""
        return self._ask(Method.PRE_UPGRADE, call)

    def abort_upgrade(self, call: guests.GuestCall) -> guests.GuestAnswer:
        """Undo pre_upgrade: the former server serves again."""
        return self._ask(Method.ABORT_UPGRADE, call)

    def post_upgrade(self, call: guests.GuestCall) -> guests.GuestAnswer:
        """Restore, upgrade the data, compare, open."""
        return self._ask(Method.POST_UPGRADE, call)

    def verify_upgrade(self, call: guests.GuestCall) -> guests.GuestAnswer:
        """Check the server's version, a write, and its start at the next boot."""
        return self._ask(Method.VERIFY_UPGRADE, call)

    def finish_upgrade(self, call: guests.GuestCall) -> guests.GuestAnswer:
        """The stash may go after its hours."""
        return self._ask(Method.FINISH_UPGRADE, call)

    def greet(self, instance_id: str) -> None:
        """Let the guest tell in which start of its agent it is; nothing is done where it has no
        key.  Raises as the other calls.
        """
        known = self._known(instance_id, messages.GREET)
        if known is not None and self._sealed is not None:
            self._answered(self._sealed, known, messages.GREET, {})

    def _known(self, instance_id: str, method: str) -> KnownKey | None:
        """Return the guest's key; raises GuestKeyUnusable where it is required and unreadable."""
        if self._keys is None:
            return None
        try:
            return self._keys.current(instance_id)
        except KeyUnreadable as error:
            if self._is_required:
                raise exceptions.GuestKeyUnusable(
                    instance_id=instance_id, method=method, found=error.message
                ) from error
            LOG.warning(
                'Instance %s is asked unsealed, as guest_rpc_security lets it be: %s',
                instance_id,
                error.message,
            )
            return None

    def _answered(
        self,
        sealed: sealed_calls.SealedCalls,
        known: KnownKey,
        method: str,
        arguments: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        """Return what the guest has answered under its key.  Raises as `SealedCalls.ask`."""
        try:
            return sealed.ask(known, method, arguments)
        except AnswerNotAuthentic:
            self._doubt(self._topic(known.key.instance_id))
            raise

    def _topic(self, instance_id: str) -> str:
        return f'{self._prefix}{instance_id}'

    def _ask(self, method: Method, call: guests.GuestCall) -> guests.GuestAnswer:
        try:
            return self._asked(method, call)
        except oslo_messaging.RemoteError as error:
            return _made_up(
                guests.JobState.FAILED,
                code=CODE_INTERNAL,
                message=(
                    f'The guest agent of instance {call.instance_id} could not carry out {method}: '
                    f'{answers.message(f"{error.exc_type}{_place(error)}: {error.value}")}. Look '
                    'into the log of the agent.'
                ),
            )
        except answers.AnswerOutOfBounds as error:
            return _made_up(
                guests.JobState.FAILED,
                code=CODE_BOUNDS,
                message=(
                    f'The guest agent of instance {call.instance_id} answered {method} with more '
                    f'than is taken, or in another form: {error}. Nothing of it was kept. Look at '
                    'the agent in the guest and at its version.'
                ),
            )
        except (
            KeyError,
            TypeError,
            ValueError,
            oslo_messaging.UnsupportedVersion,
            Unreadable,
        ) as error:
            cause = error.__cause__ if isinstance(error, Unreadable) else None
            return _made_up(
                guests.JobState.FAILED,
                code=CODE_INTERNAL,
                message=(
                    f'The guest agent of instance {call.instance_id} answered {method} in a form '
                    f'that cannot be read: {origin.of(cause or error)}. '
                    'Look which version of the agent runs there.'
                ),
            )

    def _asked(self, method: Method, call: guests.GuestCall) -> guests.GuestAnswer:
        """Return the answer, by whichever version; raises whatever the guest made the library
        raise.
        """
        known = self._known(call.instance_id, method)
        if known is not None and self._sealed is not None:
            try:
                return guests.GuestAnswer.from_wire(
                    self._answered(self._sealed, known, method, call.to_wire())
                )
            except AnswerNotAuthentic as error:
                if self._is_required or error.reason is not sealed_calls.Reason.TOO_OLD:
                    raise
                LOG.warning(
                    'Instance %s is asked unsealed, as guest_rpc_security lets it be: its agent '
                    'knows no sealed calls',
                    call.instance_id,
                )
        try:
            return guests.GuestAnswer.from_wire(
                self._call(method, '1.1', call.instance_id, call.to_wire())
            )
        except oslo_messaging.UnsupportedVersion:
            pass
        except oslo_messaging.RemoteError as error:
            # no set: it can be of any type
            if error.exc_type not in ('UnsupportedVersion', 'NoSuchMethod'):
                raise
        return self._ask_version_1_0(method, call)

    def _ask_version_1_0(self, method: Method, call: guests.GuestCall) -> guests.GuestAnswer:
        """Return what the specification's two calls can stand in for; they return when they are
        done.
        """
        if method == Method.PRE_UPGRADE:
            return self._quiesced_by_1_0(call)
        if method == Method.POST_UPGRADE:
            self._call(method, '1.0', call.instance_id, {'upgrade_info': dict(call.upgrade_info)})
            return _made_up(
                guests.JobState.DONE,
                message='Done by an agent that knows RPC 1.0 only.',
                started=True,
            )
        if method == Method.FINISH_UPGRADE:
            return _made_up(
                guests.JobState.DONE,
                message='An agent that knows RPC 1.0 only has nothing to finish.',
            )
        state = (
            guests.JobState.REFUSED if method == Method.CHECK_UPGRADE else guests.JobState.FAILED
        )
        return _made_up(
            state,
            code=CODE_TOO_OLD,
            message=(
                f'The guest agent of instance {call.instance_id} cannot be asked for {method}: it '
                'knows RPC 1.0 only. Install an agent that knows 1.1 in the guest first.'
            ),
        )

    def _quiesced_by_1_0(self, call: guests.GuestCall) -> guests.GuestAnswer:
        """The answer of RPC 1.0 is the upgrade_info alone, or None."""
        try:
            info = upgrade_info.carried(self._call(Method.PRE_UPGRADE, '1.0', call.instance_id, {}))
        except upgrade_info.Invalid as error:
            return _made_up(
                guests.JobState.FAILED,
                code=Code.UPGRADE_INFO_INVALID,
                message=(
                    f'Instance {call.instance_id} was not rebuilt: the upgrade_info that its guest '
                    f'agent, of RPC 1.0, returned is not of its form, {error}. Look at the agent '
                    'in the guest.'
                ),
            )
        return _made_up(
            guests.JobState.DONE,
            message='Done by an agent that knows RPC 1.0 only.',
            result=Quiesced(info).to_wire(),
        )

    def _call(self, method: str, version: str, instance_id: str, arguments: dict[str, Any]) -> Any:
        topic, context = self._topic(instance_id), serializer.service_context(logs.request_id())
        wait = self._speakers.wait(topic, version, self._timeout)
        client = self._client.prepare(
            topic=topic,
            server=topic,
            version=version,
            timeout=wait.seconds,
            call_monitor_timeout=wait.sign_seconds,
        )
        since = time.monotonic()
        try:
            if not self._connected:
                self._require_broker(self._timeout)
            answer = client.call(context, method, **arguments)
        except (oslo_messaging.RemoteError, oslo_messaging.UnsupportedVersion):
            self._connected = True
            self._speakers.refused(topic, version)
            raise
        except oslo_messaging.MessagingTimeout as error:
            raise exceptions.GuestUnavailable(
                instance_id=instance_id,
                method=method,
                timeout_seconds=wait.waited(time.monotonic() - since),
            ) from error
        except (exceptions.MessagingUnavailable, *transport.BROKER_ERRORS) as error:
            raise exceptions.GuestNotAsked(
                instance_id=instance_id, method=method, timeout_seconds=self._timeout
            ) from error
        # The edge to a library: it raises the exception that an answer names, with its words.
        except Exception as error:
            raise Unreadable from error
        self._connected = True
        self._speakers.answered(topic, version)
        return answer


def _client(conf: cfg.ConfigOpts, rpc_transport: oslo_messaging.Transport) -> Any:
    return oslo_messaging.get_rpc_client(
        rpc_transport,
        oslo_messaging.Target(exchange=conf[our_conf.GROUP].rpc_exchange),
        serializer=serializer.RequestContextSerializer(),
        retry=0,
    )


def _caller(conf: cfg.ConfigOpts, at: place.Place) -> either_place.Caller:
    seconds = conf[our_conf.GROUP].guest_call_timeout
    return either_place.Caller(
        _client(conf, transport.get_transport(conf, at)),
        functools.partial(transport.require_broker, conf, seconds, at),
    )


def _place(error: oslo_messaging.RemoteError) -> str:
    """The line in the agent where it was raised, where the agent has sent its traceback."""
    frames = _FRAME.findall('\n'.join(error.traceback or ()))
    return ' at {}:{} ({})'.format(*frames[-1]) if frames else ''


def _made_up(
    state: guests.JobState,
    *,
    message: str,
    code: str | None = None,
    started: bool | None = None,
    result: dict[str, Any] | None = None,
) -> guests.GuestAnswer:
    """An answer in the place of an agent's, which alone knows its boot id and server."""
    return guests.GuestAnswer(
        state=state,
        message=message,
        boot_id='',
        server_state=guests.ServerState.UNKNOWN,
        agent_version='',
        code=code,
        server_started_on_data=started,
        result=result or {},
    )

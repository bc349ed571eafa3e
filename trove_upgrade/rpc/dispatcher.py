# SPDX-License-Identifier: Apache-2.0
"""Dispatcher of the RPC servers: a message of another form ends in one line of the log.

oslo.messaging writes the traceback of everything that leaves an endpoint, with the words of the
message in it, and hands what another wrote to the endpoint as keyword arguments.  Each account of
the broker can send such messages.
"""

from collections.abc import Callable, Mapping
from typing import Any

import oslo_messaging
from oslo_messaging.rpc import dispatcher as oslo_dispatcher

from trove_upgrade.domain import exceptions, logs, tree

LOG = logs.get_logger(__name__)

#: Characters of one message.
_LARGEST = 8_000_000
_LONGEST_NAME = 64


class MessageInvalid(exceptions.TroveUpgradeError):
    """A message is no call of a method with named arguments."""

    code = 'MESSAGE_INVALID'
    template = (
        'A message of RPC was not read: {found}. Look which programs have an account of the broker.'
    )


class Dispatcher(oslo_dispatcher.RPCDispatcher):
    """oslo.messaging's, with an edge: the caller gets the error as ever, the log one line without
    the caller's words.

    What is dropped by the thousand has no line of its own.
    """

    def __init__(self, *args: Any, refused: Callable[[], None] = lambda: None) -> None:
        """`refused` is called with each message that is refused; the rest is oslo.messaging's."""
        super().__init__(*args)
        self._refused = refused

    def dispatch(self, incoming: Any) -> Any:
        """Hand a message to its endpoint.

        What is `Unanswered` gets no reply.

        :raises ExpectedException: the message has another form, no endpoint has its method or
            version, or the endpoint refused.
        """
        try:
            _require_form(incoming.message)
            return super().dispatch(incoming)
        except exceptions.Unanswered:
            incoming.reply = _no_reply  # oslo.messaging answers each call, with an error at least
            raise oslo_dispatcher.ExpectedException from None
        except exceptions.Dropped:
            raise oslo_dispatcher.ExpectedException from None  # counted where it was dropped
        except exceptions.TroveUpgradeError as error:
            self._refused()
            LOG.warning('A call was refused: %s', error.message)
            raise oslo_dispatcher.ExpectedException from None
        except (oslo_messaging.UnsupportedVersion, oslo_dispatcher.NoSuchMethod):
            self._refused()
            LOG.warning(
                'A call was refused: there is no such method, version or namespace here. Look '
                'which release the caller has.'
            )
            raise oslo_dispatcher.ExpectedException from None


def _no_reply(reply: Any = None, failure: Any = None) -> None:
    """Stand in for the reply of a message without an answer."""


def _require_form(message: Any) -> None:
    """Refuse a message of another form than a call's.

    :raises MessageInvalid: oslo.messaging would end in an error of its own.
    """
    if not isinstance(message, Mapping):
        raise MessageInvalid(found='it is no mapping')
    try:
        tree.require(message, characters=_LARGEST)
    except tree.ValueOutOfBounds as error:
        raise MessageInvalid(found=error) from None
    if not _is_name(message.get('method')):
        raise MessageInvalid(found='it names no method')
    for key in ('namespace', 'version'):
        if message.get(key) is not None and not isinstance(message[key], str):
            raise MessageInvalid(found=f'its {key} is no text')
    if not _is_version(message.get('version') or '1.0'):
        raise MessageInvalid(found='its version is none')
    arguments = message.get('args', {})
    if not isinstance(arguments, Mapping) or not all(_is_name(name) for name in arguments):
        raise MessageInvalid(found='its arguments have no names')


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value.isidentifier() and len(value) <= _LONGEST_NAME


def _is_version(value: str) -> bool:
    parts = value.split('.')
    return len(parts) in {1, 2, 3} and all(
        part.isascii() and part.isdigit() and len(part) < 10 for part in parts
    )

# SPDX-License-Identifier: Apache-2.0
"""Precondition: the configuration that guests get names a topic and a broker on which the control
plane hears them.
"""

import dataclasses
from collections.abc import Collection, Iterator, Sequence

from trove_upgrade.bridge import guest_configuration, old_broker, option_text
from trove_upgrade.bridge.old_broker import Broker
from trove_upgrade.domain.upgrade_checks import CheckResult

_TOPIC = 'topic of guests'
_FILE = 'guest_config_file'
_BROKER = 'broker'


@dataclasses.dataclass(frozen=True, kw_only=True)
class GuestFile:
    """Content of `guest_config_file`, and what the control plane's own configuration has."""

    text: str = dataclasses.field(repr=False)  #: empty where the option is not set
    topic_prefix: str  #: of the control plane
    prefixes_of_trove: Collection[str]

    @property
    def brokers(self) -> Sequence[Broker]:
        """Return the brokers that guests are told; none where they keep their old agent's."""
        options, _ = option_text.read([self.text])
        transport = guest_configuration.transport_of(options)
        return () if transport is None else old_broker.brokers(transport)

    def look(self, named: Sequence[Broker]) -> Iterator[CheckResult]:
        """Yield the results; `named` are the brokers that an operator wants to be tried."""
        options, not_lines = option_text.read([self.text])
        if not_lines:
            yield CheckResult.refused(
                _FILE,
                f'It has {not_lines} lines that are no options. Mend it: no guest would get a '
                'configuration.',
                guest_configuration.GuestConfigurationUnusable.code,
            )
        yield self._of_control_plane()
        theirs = option_text.Resolved(options).value(guest_configuration.OURS, 'guest_topic_prefix')
        if self.text:
            yield self._of_file(theirs)
        if named and self.brokers and set(named) != set(self.brokers):
            yield CheckResult.warning(
                _BROKER,
                f'guest_config_file names {_listed(self.brokers)}, and --broker '
                f'{_listed(named)}: guests connect to the first. Name the same, or leave --broker '
                'out.',
                'BRIDGE_BROKER_DIFFERS',
            )

    def _of_control_plane(self) -> CheckResult:
        pushed = guest_configuration.PREFIX
        advice = f'Set [trove_upgrade] guest_topic_prefix = {pushed} on all taskmanagers and APIs.'
        if self.topic_prefix in self.prefixes_of_trove:
            return CheckResult.refused(
                _TOPIC,
                f'The control plane has guest_topic_prefix = "{self.topic_prefix}", which is the '
                f"one of Trove's own agents: it would not hear the agent that is brought in. "
                f'{advice}',
                'BRIDGE_TOPIC_OF_TROVE',
            )
        if self.topic_prefix != pushed:
            return CheckResult.refused(
                _TOPIC,
                f'The control plane has guest_topic_prefix = "{self.topic_prefix}", and the agent '
                f'that is brought in listens on "{pushed}". {advice}',
                'BRIDGE_TOPIC_DIFFERS',
            )
        return CheckResult.ok(_TOPIC, f'The control plane and the agent agree on "{pushed}".')

    def _of_file(self, theirs: str | None) -> CheckResult:
        advice = f'Set [trove_upgrade] guest_topic_prefix = {guest_configuration.PREFIX} in it.'
        name = f'{_TOPIC} in {_FILE}'
        if theirs is None:
            return CheckResult.warning(
                name,
                "It names no guest_topic_prefix, and the default is the one of Trove's own agents: "
                f'guests that Trove makes with it begin with that one. {advice}',
                'BRIDGE_TOPIC_DIFFERS',
            )
        if theirs.strip() != self.topic_prefix:
            code = (
                'BRIDGE_TOPIC_OF_TROVE'
                if theirs.strip() in self.prefixes_of_trove
                else 'BRIDGE_TOPIC_DIFFERS'
            )
            message = f'It has "{theirs.strip()}", and the control plane "{self.topic_prefix}".'
            return CheckResult.refused(name, f'{message} {advice}', code)
        return CheckResult.ok(name, 'It has that of the control plane.')


def _listed(brokers: Sequence[Broker]) -> str:
    return ', '.join(f'{broker.host}:{broker.port}' for broker in sorted(brokers))

# SPDX-License-Identifier: Apache-2.0
"""Options of a run's pace: limits, waves, and the failures that it goes on with."""

import argparse
import dataclasses

from trove_upgrade.cmd.bridge.accepted import accepted_line
from trove_upgrade.cmd.bridge.context import Context
from trove_upgrade.cmd.console.printing import print_line
from trove_upgrade.domain.bridge_runs import Run, RunState
from trove_upgrade.domain.pace import DEFAULT_PACE, LimitChanges, Limits, Pace, StopRule

_MOST_AT_ONCE = 64
_MOST = 1000
_PERCENT = 100


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a run that begins."""
    pace = parser.add_argument_group('pace')
    _add_limits(pace, DEFAULT_PACE.limits)
    pace.add_argument(
        '--canary',
        type=_Number(_MOST),
        default=DEFAULT_PACE.canary,
        metavar='N',
        help='instances that come first, of as many versions and network nodes as they can; one of '
        'them that fails stops the run; 0: none (default: %(default)s)',
    )
    pace.add_argument(
        '--wave',
        type=_Number(_MOST),
        default=DEFAULT_PACE.wave_size,
        metavar='N',
        help='instances of each further wave, which begins when the one before has ended; 0: all '
        'in one (default: %(default)s)',
    )
    stop = DEFAULT_PACE.stop
    pace.add_argument(
        '--stop-after',
        type=_Number(_MOST),
        default=stop.count,
        metavar='N',
        help='failures that the run goes on with; with more of them it begins no other instance '
        '(default: %(default)s)',
    )
    pace.add_argument(
        '--stop-percent',
        type=_Number(_PERCENT),
        default=stop.percent,
        metavar='N',
        help='the same, in percent of the instances; the greater of the two counts (default: '
        '%(default)s)',
    )


def add_changes(parser: argparse.ArgumentParser) -> None:
    """Add what may be changed when a run goes on."""
    pace = parser.add_argument_group('pace')
    _add_limits(pace, None)
    pace.add_argument(
        '--accept-failures',
        action='store_true',
        help='begin further instances of a run that has stopped: what has failed so far counts no '
        'more',
    )


def of(arguments: argparse.Namespace) -> Pace:
    """Return the pace of a run that begins."""
    return Pace(
        limits=_changes(arguments).of(DEFAULT_PACE.limits),
        canary=arguments.canary,
        wave_size=arguments.wave,
        stop=StopRule(count=arguments.stop_after, percent=arguments.stop_percent),
    )


def change(run: Context, found: Run, arguments: argparse.Namespace) -> Run:
    """Return a run with what the options change of it."""
    runs = run.repositories.bridge_runs
    found = runs.change_limits(found.id, _changes(arguments))
    if arguments.accept_failures and found.state is RunState.STOPPED:
        print_line(accepted_line(runs.members(found.id)))
        found = runs.accept_failures(found.id)
    return found


def _add_limits(pace: argparse._ArgumentGroup, limits: Limits | None) -> None:
    """Add the limits; without defaults where the run has its own."""
    for name, most, what in (
        ('at-once', _MOST_AT_ONCE, 'guests at a time, of all hosts that work on the run'),
        ('per-node', _MOST, 'guests at a time through one network node'),
        ('per-hypervisor', _MOST, 'guests at a time on one hypervisor'),
    ):
        default = None if limits is None else getattr(limits, name.replace('-', '_'))
        pace.add_argument(
            f'--{name}',
            type=_Number(most, 1),
            default=default,
            metavar='N',
            help=f'{what} (default: {"as before" if default is None else default})',
        )


def _changes(arguments: argparse.Namespace) -> LimitChanges:
    return LimitChanges(
        at_once=arguments.at_once,
        per_node=arguments.per_node,
        per_hypervisor=arguments.per_hypervisor,
    )


@dataclasses.dataclass(frozen=True)
class _Number:
    """Reads a number of a range."""

    most: int
    least: int = 0

    def __call__(self, text: str) -> int:
        number = int(text)
        if not self.least <= number <= self.most:
            raise argparse.ArgumentTypeError(f'not from {self.least} to {self.most}: {text}')
        return number

    def __repr__(self) -> str:  # argparse shows it where a text is no number
        return 'number'

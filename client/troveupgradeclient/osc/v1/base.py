# SPDX-License-Identifier: Apache-2.0
"""Common parts of the commands: the client, the wait for an end, and the exit status."""

import abc
import argparse
import contextlib
import datetime
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TextIO, TypeVar

from osc_lib.command import command

from troveupgradeclient import exceptions
from troveupgradeclient.osc.v1 import cells, exit_status, hints, progress
from troveupgradeclient.osc.v1.exit_status import ExitStatus
from troveupgradeclient.v1.client import Client
from troveupgradeclient.v1.following import INTERVAL_SECONDS, LAG_SECONDS, Follower
from troveupgradeclient.v1.resources import Check, State, Upgrade

UPGRADE_HELP = 'Upgrade (its id, or the name or id of an instance: its newest upgrade)'
INSTANCE_HELP = 'Instance (name or id)'
Seen = TypeVar('Seen')
#: Segments of an address that lead elsewhere in it.
_WAYS = frozenset({'.', '..'})
#: Larger numbers are none that a clock or a list takes.
_MOST = 1_000_000_000
Shown = tuple[tuple[str, ...], tuple[cells.Cell, ...]]


class Advised(Exception):  # its code and sentence are the server's
    """Refusal by the server; a line of the client's may have the command to go on with."""


class UpgradeCommand(command.Command):
    """A command of the plugin; `status` is what it ends with."""

    status = ExitStatus.AS_ASKED

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the reader of the command line."""
        parser = super().get_parser(prog_name)
        self.add_arguments(parser)
        return parser

    @abc.abstractmethod
    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add arguments of the command's own."""

    @abc.abstractmethod
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Ask the service, and return what the formatter shows."""

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command and return its exit status."""
        try:
            super().run(parsed_args)
        except exceptions.RequestRefused as refused:
            hint = hints.of(refused.code, parsed_args)
            told = f'{refused}\n{hint}' if hint else f'{refused}'
            if self.status != ExitStatus.AS_ASKED:
                self.app.stderr.write(f'{told}\n')
                return int(self.status)
            raise Advised(told) from refused
        except KeyboardInterrupt:
            return int(ExitStatus.INTERRUPTED)
        return int(self.status)

    @contextlib.contextmanager
    def sending(self, hint: str) -> Iterator[None]:
        """Send a request that begins something; `hint` tells so where its answer is not seen."""
        try:
            yield
        except exceptions.ApiSilent as silent:
            raise Advised(f'{silent}\n{hint}') from silent
        except KeyboardInterrupt:
            self.app.stderr.write(f'{hint}\n')
            raise

    @property
    def client(self) -> Client:
        """Client of the cloud that was chosen."""
        manager: Any = self.app.client_manager  # plugins add the attributes
        found: Client = manager.database_upgrade
        return found

    @staticmethod
    def now() -> datetime.datetime:
        """Return the time that ages are told by."""
        return datetime.datetime.now(datetime.UTC)

    def shown(self, record: Any) -> Shown:
        """Return all fields of a record for ShowOne."""
        names = cells.field_names(type(record))
        return names, cells.row(record, names, self.now())


class ShowOne(UpgradeCommand, command.ShowOne):
    """A command that shows one thing."""

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Any, data: Any) -> Any:
        """Print what was found in the format that was chosen."""
        shown = cells.for_format(parsed_args.formatter, data)
        return super().produce_output(parsed_args, column_names, shown)


class Lister(UpgradeCommand, command.Lister):
    """A command that shows a list."""

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Any, data: Any) -> Any:
        """Print what was found in the format that was chosen."""
        shown = [cells.for_format(parsed_args.formatter, each) for each in data]
        return super().produce_output(parsed_args, column_names, shown)


class Following(ShowOne):
    """A command that can wait for an end."""

    statuses: ClassVar[tuple[ExitStatus, ...]] = exit_status.OF_UPGRADES

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the reader of the command line, whose help has lines that are not joined."""
        self._parser = super().get_parser(prog_name)
        kinds: Any = (argparse.RawDescriptionHelpFormatter, self._parser.formatter_class)
        formatter: Any = type('HelpFormatter', kinds, {})
        self._parser.formatter_class = formatter
        return self._parser

    def get_epilog(self) -> str:
        """Return the end of the help, with what a script has to know of the end."""
        return '\n\n'.join((exit_status.in_words(self.statuses), super().get_epilog())).strip()

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command, unless it was told how to wait and not to wait."""
        paced = ('--timeout', parsed_args.timeout), ('--interval', parsed_args.interval)
        given = [option for option, value in paced if value is not None]
        if given and not getattr(parsed_args, 'wait', True):
            self._parser.error(f'{given[0]} is of a wait, and none was asked for')
        return super().run(parsed_args)

    def follow_upgrade(
        self,
        upgrade: Upgrade,
        asked: argparse.Namespace,
        wanted: State,
        *,
        ends_held: bool = False,
    ) -> Upgrade:
        """Wait until the upgrade has ended, or is `wanted`, and take the status from its end; or
        until the wait is over, and return it as it was seen last.

        :param ends_held: the wait ends where it is held without a time to begin at, too.
        """
        line, looks = self._line(), _Looks(self.client, upgrade)

        def look(seconds: float) -> Upgrade:
            found = looks.next(seconds)
            line.show(progress.of_upgrade(found, self.now()), progress.change_of(found))
            return found

        def is_end(seen: Upgrade) -> bool:
            is_held = ends_held and seen.state == State.HELD and seen.not_before is None
            return (
                # a node of the database that lags still has the end of the attempt before
                seen.attempt >= upgrade.attempt
                and (seen.has_ended or seen.state == wanted or is_held)
            )

        last = self._last(upgrade, look, is_end, asked, line, progress.of_what_goes_on)
        if is_end(last):
            self.status = exit_status.of_end(last, wanted)
        return last

    def follow_check(self, check: Check, asked: argparse.Namespace) -> Check:
        """Wait until the report is there, or the wait is over."""
        line = self._line()

        def look(seconds: float) -> Check:
            found = self.client.checks.get(check.instance_id, check.id, seconds=seconds)
            line.show(progress.of_check(found), found.state)
            return found

        hint = progress.of_check_that_goes_on
        return self._last(check, look, lambda seen: seen.has_ended, asked, line, hint)

    def _line(self) -> progress.ProgressLine:
        stream: TextIO | None = self.app.stderr if self.app.options.verbose_level else None
        return progress.ProgressLine(stream, self.client.clock)

    def _last(
        self,
        last: Seen,
        look: Callable[[float], Seen],
        is_end: Callable[[Seen], bool],
        asked: argparse.Namespace,
        line: progress.ProgressLine,
        hint: Callable[[Seen], str],
    ) -> Seen:
        """Return the end, or what was seen last where the wait is over before; the status and a
        sentence tell so then, and what to do next.
        """

        def noted(seconds: float) -> Seen:
            nonlocal last
            last = look(seconds)
            return last

        follower = Follower(
            self.client.clock,
            interval_seconds=INTERVAL_SECONDS if asked.interval is None else asked.interval,
            timeout_seconds=asked.timeout,
            on_silence=lambda silent: line.show(f'{silent} Trying again.', 'silent'),
        )
        try:
            return follower.follow(noted, is_end)
        except KeyboardInterrupt:
            self.status, told = ExitStatus.INTERRUPTED, ''
        except exceptions.WaitOver as over:
            self.status, told = ExitStatus.WAIT_OVER, f'{over}\n'
        finally:
            line.close()
        self.app.stderr.write(f'{told}{hint(last)}\n')
        return last


class _Looks:
    """Looks at an upgrade that the service has just answered with: for some seconds a node of the
    database that lags may not have it yet.
    """

    def __init__(self, client: Client, upgrade: Upgrade) -> None:
        self._client = client
        self._upgrade = upgrade
        self._begun = client.clock.monotonic()
        self._was_seen = False

    def next(self, seconds: float) -> Upgrade:
        try:
            found = self._client.upgrades.get(self._upgrade.id, seconds=seconds)
        except exceptions.RequestRefused as refused:
            is_over = self._client.clock.monotonic() - self._begun > LAG_SECONDS
            if refused.code != 'UPGRADE_NOT_FOUND' or self._was_seen or is_over:
                raise
            raise exceptions.ApiSilent(found=str(refused).rstrip('.')) from refused
        self._was_seen = True
        return found


def add_wait(parser: argparse.ArgumentParser, help_text: str) -> None:
    """Add --wait and what belongs to it."""
    parser.add_argument('--wait', action='store_true', help=help_text)
    add_pace(parser)


def add_instance_and_version(parser: argparse.ArgumentParser, version_help: str) -> None:
    """Add the instance and the version that an upgrade leads it to."""
    parser.add_argument('instance', type=given, metavar='<instance>', help=INSTANCE_HELP)
    parser.add_argument(
        'datastore_version', type=given, metavar='<datastore-version>', help=version_help
    )


def add_pace(parser: argparse.ArgumentParser) -> None:
    """Add the options of a wait."""
    parser.add_argument(
        '--timeout',
        type=_seconds_or_none,
        metavar='<seconds>',
        help='Longest wait, 0 for one look; without it, until the end',
    )
    parser.add_argument(
        '--interval',
        type=_seconds,
        metavar='<seconds>',
        help=f'Pause between two looks (default: {INTERVAL_SECONDS:.0f})',
    )


def given(text: str) -> str:
    """Read a name, an id or a time of the command line; one that is empty would name the list that
    it is looked up in.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError('it is empty, as a variable that is not set is')
    if text in _WAYS:
        raise argparse.ArgumentTypeError(f'{text} is neither a name nor an id')
    return text


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= _MOST:
        raise argparse.ArgumentTypeError(f'{text} is no positive number of seconds up to {_MOST}')
    return value


def _seconds_or_none(text: str) -> float:
    """Read a number of seconds that may be 0."""
    value = float(text)
    return value if value == 0 else _seconds(text)


# argparse puts it into "invalid number value"
_seconds.__name__ = _seconds_or_none.__name__ = 'number'


def count(text: str) -> int:
    """Read a positive number of the command line."""
    value = int(text)
    if not 0 < value <= _MOST:
        raise argparse.ArgumentTypeError(f'{text} is no positive number up to {_MOST}')
    return value


count.__name__ = 'number'

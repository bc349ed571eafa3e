# SPDX-License-Identifier: Apache-2.0
"""The live view of a run: what goes on at a glance, on any terminal, and a line for each end."""

import contextlib
import dataclasses
import datetime
import errno
import io
import logging
import signal
import sys
import threading
import types

import fixtures
import pymysql
import sqlalchemy as sa
import testtools
from oslo_db import exception as db_exc
from rich.console import Console, ConsoleDimensions

from trove_upgrade import signals
from trove_upgrade.cmd.bridge import view
from trove_upgrade.cmd.bridge.picture import Picture, Shown
from trove_upgrade.cmd.bridge.view import LiveView, Ticker
from trove_upgrade.domain.bridge_overview import EndedMember, Held, Overview
from trove_upgrade.domain.bridge_runs import Claim, MemberState, MemberStep, RunNotFound, RunState
from trove_upgrade.domain.pace import Wait
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.bridge.report import samples

NOW = samples.NOW
S, T = MemberState, MemberStep
HIDDEN, SHOWN_AGAIN = '\x1b[?25l', '\x1b[?25h'


def held(number, step=MemberStep.PUSH, seconds=75, **changes):
    return Held(
        **{
            'instance_id': samples.instance_id(number),
            'name': f'db-{number}',
            'step': step,
            'since': NOW - datetime.timedelta(seconds=seconds),
            'is_undoing': False,
            **changes,
        }
    )


def ended(number, state=S.COMPLETED, **changes):
    return EndedMember(
        **{
            'instance_id': samples.instance_id(number),
            'name': f'db-{number}',
            'state': state,
            'error_code': None,
            'cause': None,
            **changes,
        }
    )


#: Environment of a terminal that can be drawn on, whatever the tests' own is.
ABLE = {'TERM': 'xterm'}
FLEET = Overview(
    now=NOW,
    state=RunState.RUNNING,
    states={S.PENDING: 139, S.RUNNING: 4, S.COMPLETED: 54, S.FAILED: 3, S.LEFT_OUT: 10},
    turned_back=1,
    wave=3,
    last_wave=10,
    failures={'LOGIN_REFUSED': 1, 'REACH_REFUSED': 2},
    held=(held(1), held(2, MemberStep.PROVE, 12), held(3, is_undoing=True), held(4, since=None)),
    ended=(),
)
SHOWN = Shown(
    run_id=samples.RUN_ID,
    overview=FLEET,
    now=NOW,
    elapsed_seconds=7384,
    per_hour=46.2,
    seconds_left=11_160,
    waits={Wait.WAVE: 120, Wait.NODE: 19},
    messages={samples.instance_id(2): 'Port 3 is open for 10.60.0.2/32.'},
    trouble=None,
)


def drawn(shown=SHOWN, width=80, height=24):
    console = Console(
        file=io.StringIO(), width=width, height=height, color_system=None, _environ=ABLE
    )
    console.print(Picture(shown))
    return console.file.getvalue()


def of(overview=FLEET, **changes):
    return dataclasses.replace(SHOWN, overview=dataclasses.replace(overview, **changes))


class TestPicture(base.TestCase):
    def assert_fits(self, text, width, height):
        lines = text.splitlines()
        self.assertLessEqual(max(map(len, lines)), width, text)
        self.assertLessEqual(len(lines), height, text)

    def test_counts_rate_time_wave_failures_and_waits_are_told(self):
        text = drawn(width=200)
        for told in (
            'wave 3 of 10, 2 h 3 min',
            '57/200 28 %  46/h  3 h 6 min left',
            '54 completed, 3 failed, 1 turned back, 4 worked on, 139 waiting, 10 left out',
            'failed: 2 REACH_REFUSED, 1 LOGIN_REFUSED',
            'waiting: 120 as an earlier wave has not ended, 19 as',
        ):
            self.assertIn(told, text)

    def test_each_member_that_is_worked_on_has_its_step_and_since_when(self):
        lines = drawn(width=200).splitlines()
        [first] = [line for line in lines if samples.instance_id(1) in line]
        self.assertEqual(['db-1', 'push', '1', 'min', '15', 's'], first.split()[1:])
        [second] = [line for line in lines if samples.instance_id(2) in line]
        self.assertIn('prove', second)
        self.assertTrue(second.rstrip().endswith('Port 3 is open for 10.60.0.2/32.'))
        [third] = [line for line in lines if samples.instance_id(3) in line]
        self.assertIn('push back', third)

    def test_it_fits_any_terminal(self):
        many = of(held=tuple(map(held, range(64))))
        for shown in (SHOWN, many):
            for width, height in ((40, 12), (80, 24), (132, 50), (200, 60)):
                self.assert_fits(drawn(shown, width, height), width, height)

    def test_every_terminal_keeps_the_ids_and_the_steps_whatever_else_is_long(self):
        numbers = range(1, 5)
        members = tuple(
            held(one, T.UPGRADE, 3599, is_undoing=True, name='a name that is long ' * 9)
            for one in numbers
        )
        told = {samples.instance_id(one): 'Logged in at 10.60.0.17 ' * 9 for one in numbers}
        for width in (20, 24, 35, 36, 40, 47, 48, 50, 60, 69, 70, 80, 119, 120, 132, 250):
            text = drawn(dataclasses.replace(of(held=members), messages=told), width)
            self.assert_fits(text, width, 24)
            head, *rows = text[text.index('instance ') :].splitlines()
            for number, row in zip(numbers, rows, strict=True):
                shown_id = samples.instance_id(number)[-36 if width >= 120 else -8 :]
                self.assertTrue(row.startswith(f'{shown_id} '), text)
                self.assertIn('upgrade back' if width >= 24 else 'upgrade b', row)
            self.assertEqual(width >= 36, '59 min 59 s' in text, text)
            self.assertEqual(width >= 48, 'a name' in text, text)
            self.assertEqual(width >= 70, 'Logged in' in text, text)
            self.assertEqual(
                [one for one in ('name', 'step', 'for', 'last') if one in head], head.split()[1:]
            )

    def test_members_that_find_no_room_are_counted(self):
        text = drawn(of(held=tuple(map(held, range(64)))))
        self.assertIn('and 49 others that are worked on', text)

    def test_a_name_is_text_of_one_line_whatever_it_is(self):
        for name in (*samples.HOSTILE, '[bold red]x[/bold red]', '[/]'):
            text = drawn(of(held=(held(1, name=name),)), width=200)
            self.assert_fits(text, 200, 24)
            self.assertNotIn('\x1b', text)
            self.assertNotIn('\u202e', text)
        told = drawn(of(held=(held(1, name='[bold red]x[/bold red]'),)), width=200)
        self.assertIn('[bold red]x[/bold red]', told)

    def test_a_run_that_has_stopped_is_told_and_has_no_time(self):
        text = drawn(of(state=RunState.STOPPED), width=200)
        self.assertIn('STOPPED', text)
        self.assertNotIn(' left\n', text)

    def test_the_canary_has_its_name_and_a_run_of_nothing_is_over(self):
        self.assertIn(', canary,', drawn(of(wave=0)))
        nothing = of(states={}, wave=None, last_wave=None, held=(), failures={})
        self.assertIn('0/0 100 %', drawn(nothing))

    def test_before_anything_is_known_no_rate_and_no_time_are_told(self):
        text = drawn(dataclasses.replace(SHOWN, per_hour=None, seconds_left=None), width=200)
        self.assertNotIn('/h', text)
        self.assertNotIn(' left\n', text)


class Source:
    """Overviews of a run, as a database would tell them."""

    def __init__(self, overview=FLEET):
        self.overview = overview
        self.asked, self.asked_for_waits = [], 0
        self.is_away = False

    def look(self, run_id, since):
        self.asked.append(since)
        if self.is_away:
            raise RunNotFound(run_id=run_id)
        return self.overview

    def waits(self, run_id):
        self.asked_for_waits += 1
        return {Wait.WAVE: 120}

    def becomes(self, **changes):
        self.overview = dataclasses.replace(self.overview, **changes)


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Latin(Terminal):
    encoding = 'latin-1'


class Broken(Terminal):
    """A terminal that takes nothing any more once it is told to."""

    is_broken = False

    def write(self, text):
        if self.is_broken:
            raise OSError(errno.ENOSPC, 'No space left on device')
        return super().write(text)


class LiveViewTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.time = 0.0
        self.source = Source()
        self.console = Console(
            file=Terminal(),
            force_terminal=True,
            color_system=None,
            width=80,
            height=24,
            record=True,
            _environ=ABLE,
        )
        self.view = LiveView(samples.RUN_ID, self.source, self, self.console, look_seconds=None)

    def monotonic(self):
        return self.time

    def now(self):
        return NOW + datetime.timedelta(seconds=self.time)

    def pass_by(self, seconds, **changes):
        self.time += seconds
        self.source.becomes(now=self.now(), **changes)
        self.view.tick()

    def written(self):
        """What came onto the terminal since this was asked last."""
        text = self.console.file.getvalue()
        self.console.file.seek(0)
        self.console.file.truncate()
        return text


class TestLiveView(LiveViewTestCase):
    def test_a_member_that_has_ended_gets_its_line_once(self):
        with self.view:
            failure = ended(
                8, S.FAILED, error_code='REACH_REFUSED', cause='There is no connection. Look.'
            )
            self.written()
            self.pass_by(1, ended=(ended(7), failure))
            text = self.written()
            self.assertIn(f'{samples.instance_id(7)} db-7: COMPLETED', text)
            self.assertIn('db-8: FAILED REACH_REFUSED There is', text)
            self.pass_by(1, ended=(failure,))
            self.assertNotIn('db-8', self.written())

    def test_the_last_ones_have_theirs_when_the_view_ends(self):
        with self.view:
            self.source.becomes(ended=(ended(9),))
            self.written()
        self.assertIn('db-9: COMPLETED', self.written())

    def test_ends_of_before_are_not_told_and_late_ones_are(self):
        with self.view:
            self.pass_by(1)
            self.pass_by(100)
            self.pass_by(1)
        late = datetime.timedelta(seconds=30)
        self.assertEqual([None, NOW, NOW], self.source.asked[:3])
        self.assertEqual(NOW + datetime.timedelta(seconds=101) - late, self.source.asked[3])

    def test_the_rate_is_of_what_ends_while_it_looks(self):
        with self.view:
            self.assertNotIn('/h', self.written())
            self.pass_by(360, states={**FLEET.states, S.PENDING: 134, S.COMPLETED: 59})
            self.assertIn('62/200 31 %  50/h  2 h 45 min left', self.written())

    def test_reasons_to_wait_come_of_the_crew_or_are_asked_for_now_and_then(self):
        with self.view:
            for _ in range(12):
                self.pass_by(1)
            self.assertEqual(3, self.source.asked_for_waits)
            self.view.waits(Claim(member=None, waits={'a': Wait.HYPERVISOR, 'b': Wait.HYPERVISOR}))
            self.written()
            self.pass_by(1)
            self.assertIn('waiting: 2 as enough guests', self.written())
            self.assertEqual(3, self.source.asked_for_waits)

    def test_the_last_word_of_a_member_is_shown_while_it_is_worked_on(self):
        member = samples.running(1)
        with self.view:
            self.view.tell(member, 'Logged in.')
            self.pass_by(1)
            self.assertIn('Logged in.', self.written())
            self.pass_by(1, held=())
            self.pass_by(1, held=FLEET.held)
            self.assertNotIn('Logged in.', self.written().splitlines()[-1])

    def test_an_outage_of_a_service_is_a_line(self):
        with self.view:
            self.written()
            self.view.outage(RunNotFound(run_id='x'), 600)
            self.assertIn('Asked again for 600 s at most.', self.written().replace('\n', ' '))

    def test_a_database_that_is_away_leaves_the_last_picture_and_its_moment(self):
        with self.view:
            self.source.is_away = True
            self.written()
            for _ in range(2):
                self.time += 1
                self.view.tick()
            text = self.written()
            self.assertIn('57/200', text)
            self.assertIn('As it was at 00:13:01 UTC: the database gives no answer.', text)
            self.assertNotIn('00:13:02', text)
            self.source.is_away = False
            self.pass_by(1)
            self.assertNotIn('gives no answer', self.written())

    def test_one_that_is_away_from_the_beginning_is_no_error_of_the_view(self):
        self.source.is_away = True
        with self.view:
            self.view.tick()

    def test_a_terminal_that_is_resized_gets_the_picture_of_its_width(self):
        with self.view:
            self.written()
            for width in (200, 50, 80):
                self.console.size = ConsoleDimensions(width, 24)
                self.pass_by(1)
                lines = [line for line in self.written().splitlines() if 'db-1' in line]
                self.assertEqual(width >= 120, samples.instance_id(1) in lines[-1], lines)

    def test_lines_of_other_programs_parts_stay_above_it(self):
        with self.view:
            self.written()
            print('a line')
            self.assertIn('a line', self.written())

    def test_an_outage_of_the_database_is_told_without_its_statement(self):
        driver = pymysql.err.OperationalError(2013, 'Lost connection')
        error = db_exc.DBError(sa.exc.OperationalError('UPDATE x', ['secret'], driver))
        with self.view:
            self.written()
            self.view.outage(error, 600)
            text = self.written()
        self.assertIn('DATABASE_ERROR', text)
        for word in ('UPDATE', 'secret'):
            self.assertNotIn(word, text)

    def test_a_command_that_is_told_to_end_tells_at_once_what_it_waits_for(self):
        with self.view:
            self.written()
            self.view.ending(samples.RUN_ID, 3)
            text = ' '.join(self.written().split())
        self.assertIn('Ending: 3 guests finish their present step, then each port is closed', text)
        self.assertIn(f'"trove-upgrade-bridge resume {samples.RUN_ID}" goes on', text)

    def test_one_that_is_told_to_end_at_the_first_look_gives_the_cursor_back(self):
        self.source.look = self.interrupted
        self.assertRaises(signals.Interrupted, self.view.__enter__)
        text = self.written()
        self.assertLess(text.rindex(HIDDEN), text.rindex(SHOWN_AGAIN))

    def test_so_does_one_that_is_told_to_end_at_the_last_look(self):
        with testtools.ExpectedException(signals.Interrupted), self.view:
            self.source.look = self.interrupted
        text = self.written()
        self.assertLess(text.rindex(HIDDEN), text.rindex(SHOWN_AGAIN))

    def interrupted(self, run_id, since):
        raise signals.Interrupted(signal.SIGINT)

    def test_a_terminal_that_takes_nothing_ends_no_work_and_is_logged_once(self):
        log = self.useFixture(fixtures.FakeLogger(level=logging.WARNING))
        terminal = Broken()
        for is_broken_first in (True, False):
            log.reset_output()
            terminal.is_broken = is_broken_first
            console = Console(
                file=terminal, force_terminal=True, width=80, height=24, _environ=ABLE
            )
            broken = LiveView(samples.RUN_ID, self.source, self, console, look_seconds=None)
            before = sys.stdout
            with broken:
                terminal.is_broken = True
                self.source.becomes(ended=(ended(7),))
                broken.tick()
                broken.outage(RunNotFound(run_id='x'), 600)
                broken.ending(samples.RUN_ID, 1)
                broken.tell(samples.running(1), 'Logged in.')
            self.assertIs(before, sys.stdout)
            self.assertEqual(1, log.output.count('No space left on device'), log.output)

    def test_many_ends_at_once_are_all_told(self):
        with self.view:
            self.written()
            self.pass_by(1, ended=tuple(map(ended, range(1500))))
            self.assertEqual(1500, self.written().count(': COMPLETED'))


class TestTicker(base.TestCase):
    def test_it_ticks_until_it_is_stopped(self):
        ticks, enough = [], threading.Event()

        def tick():
            ticks.append(threading.current_thread().name)
            if len(ticks) >= 3:
                enough.set()

        ticker = Ticker(tick, 0.001)
        ticker.start()
        self.assertTrue(enough.wait(60))
        ticker.stop()
        count = len(ticks)
        self.assertEqual({'bridge-view'}, set(ticks))
        self.assertFalse(ticker._thread.is_alive())
        self.assertEqual(count, len(ticks))

    def test_a_terminal_that_is_gone_ends_it_and_nothing_else(self):
        def tick():
            raise OSError('no terminal')

        ticker = Ticker(tick, 0.001)
        ticker.start()
        ticker._thread.join(60)
        self.assertFalse(ticker._thread.is_alive())
        ticker.stop()


class TestChoice(base.TestCase):
    """The database is asked for nothing before a view is entered."""

    def setUp(self):
        super().setUp()
        db = self.useFixture(database.SampleDatabase())
        self.context = types.SimpleNamespace(repositories=db.repositories)
        self.useFixture(fixtures.EnvironmentVariable('TERM', 'xterm'))

    def chosen(self, *, is_plain=False):
        return type(view.of(self.context, samples.RUN_ID, is_plain=is_plain))

    def test_a_terminal_gets_the_live_view_unless_lines_are_asked_for(self):
        with contextlib.redirect_stdout(Terminal()):
            self.assertIs(LiveView, self.chosen())
            self.assertIs(view.PlainView, self.chosen(is_plain=True))
            self.useFixture(fixtures.EnvironmentVariable('TERM', 'dumb'))
            self.assertIs(view.PlainView, self.chosen())

    def test_a_pipe_gets_lines_where_colours_are_wanted_too(self):
        self.useFixture(fixtures.EnvironmentVariable('FORCE_COLOR', '1'))
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertIs(view.PlainView, self.chosen())

    def test_lines_that_cannot_be_written_end_no_work_and_are_logged_once(self):
        log = self.useFixture(fixtures.FakeLogger(level=logging.WARNING))
        sink = Broken()
        sink.is_broken = True
        with contextlib.redirect_stdout(sink), view.PlainView() as plain:
            plain.tell(samples.running(1), 'Logged in.')
            plain.waits(Claim(member=None, waits={'a': Wait.NODE}))
            plain.outage(RunNotFound(run_id='x'), 600)
            plain.ending('x', 1)
            sink.is_broken = False
            plain.tell(samples.running(1), 'There is room again.')
        self.assertEqual(1, log.output.count('No space left on device'), log.output)
        self.assertIn('There is room again.', sink.getvalue())

    def test_a_terminal_of_few_characters_gets_lines(self):
        with contextlib.redirect_stdout(Latin()):
            self.assertIs(view.PlainView, self.chosen())

    def test_a_character_that_the_terminal_has_not_ends_no_work(self):
        raw = io.TextIOWrapper(io.BytesIO(), encoding='latin-1', errors='strict')
        with contextlib.redirect_stdout(raw), view.PlainView() as plain:
            plain.tell(samples.running(1), '\u65e5')

    def test_the_end_of_a_command_is_told_with_the_run(self):
        sink = io.StringIO()
        with contextlib.redirect_stdout(sink), view.PlainView() as plain:
            plain.ending(samples.RUN_ID, 1)
        self.assertTrue(sink.getvalue().startswith('Ending: 1 guest finishes its present step'))
        self.assertIn(f'resume {samples.RUN_ID}', sink.getvalue())

    def test_what_is_no_terminal_gets_lines(self):
        sink = io.StringIO()
        with contextlib.redirect_stdout(sink), view.of(self.context, '', is_plain=False) as plain:
            self.assertIsInstance(plain, view.PlainView)
            plain.tell(samples.running(1), 'Logged in.\x1b[31m')
            plain.waits(Claim(member=None, waits={'a': Wait.NODE}))
        first, second = sink.getvalue().splitlines()
        self.assertEqual(f'{samples.instance_id(1)} push: Logged in.\\x1b[31m', first)
        self.assertTrue(second.startswith('Waiting: 1 as '), second)

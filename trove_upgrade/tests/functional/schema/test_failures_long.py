# SPDX-License-Identifier: Apache-2.0
"""Commands that a database refuses: one line that says why, no password in it, nothing lost; and
they work when the cause is mended.
"""

import signal
import urllib.parse

import sqlalchemy as sa

from trove_upgrade.tests.functional.schema.command_cases import (
    CHANGING,
    PASSWORD,
    READING,
    CommandsTestCase,
    OnMariaDB,
    OnPostgreSQL,
)

#: Beside it, a look at a server that hangs costs starting the process, and what the machine has to
#: do for others.
_CONNECT_SECONDS, _START_SECONDS = 3, 12
_FUTURE = 'corona_expand01'


class Refusals:
    """What holds on each server."""

    def all_refused(self, code, runs, *said, **options):
        ended = self.commands.all(runs, **options)
        for one in ended:
            self.refused_with(code, one, *said)
        return ended

    def test_a_wrong_url_is_a_line_whatever_is_wrong_with_it(self):
        url = self.create()
        parts = sa.make_url(url)
        wrong_user = parts.set(password=f'{PASSWORD}x').render_as_string(hide_password=False)
        nowhere = url.replace(str(self.server.folder), f'{self.server.folder}/none')
        every = (
            *READING,
            *CHANGING,
            ('db', 'revision', '-m', 'x', '--autogenerate'),
            ('service', 'forget', 'x'),
            ('datastore_update', 'mariadb', '11.8'),
        )
        self.all_refused(
            1,
            [(nowhere, words) for words in every],
            'ERROR DATABASE_ERROR',
            'cannot be reached',
            '[database] connection',
        )
        self.all_refused(
            1,
            [
                (wrong_user, ('db', 'version')),
                (url.replace(parts.database, 'none'), ('db', 'check')),
                (f'{parts.drivername}://u:{PASSWORD[:4]}@none.invalid/d', ('db', 'sync')),
            ],
            'cannot be reached',
        )
        self.all_refused(
            1,
            [
                (wrong, ('db', 'version'))
                for wrong in (
                    f'mysql://u:{PASSWORD[:4]}@h/d',
                    f'oracle+none://u:{PASSWORD[:4]}@h/d',
                    f'postgresql+none://u:{PASSWORD[:4]}@h/d',
                    f'{parts.drivername}://u:{PASSWORD}@h/d',
                    f'{parts.drivername}://u:a@{PASSWORD[:4]}:x@h/d',
                    f'{parts.drivername}://u:{PASSWORD[:4]}@h:x/d',
                    PASSWORD[:4],
                    '',
                )
            ],
            'ERROR DATABASE_REFUSED',
        )
        self.all_refused(
            1, [(f'{url}&none={PASSWORD[:4]}', ('db', 'version'))], 'ERROR DATABASE_', 'none'
        )

    def test_a_password_is_never_shown(self):
        url = self.create()
        parts = sa.make_url(url)
        in_query = parts.set(password=None, username=None).update_query_dict(
            {'user': 'trove', 'password': PASSWORD}
        )
        loud = (
            'connection_debug = 100\nconnection_trace = true\n[DEFAULT]\ndebug = '
            'true\nuse_stderr = true\n'
        )
        statuses = self.statuses(
            url, f'{url}&none={PASSWORD[:4]}', f'{parts.drivername}://u:$S3cr@h/d', more=loud
        )
        runs = [
            (one, words)
            for one in (url, in_query.render_as_string(hide_password=False))
            for words in (
                ('db', 'current', '--verbose'),
                ('db', 'plan'),
                ('db', 'data', 'list', '--json'),
            )
        ]
        for ended in (
            self.commands.run(url, 'db', 'sync', more=loud),
            *self.commands.all(runs, more=loud),
        ):
            self.ended_with(0, ended)
        wrong = in_query.update_query_dict({'user': 'nobody'}).render_as_string(hide_password=False)
        self.all_refused(
            1,
            [
                (wrong, ('db', 'version')),
                (f'{wrong}&password={urllib.parse.quote(PASSWORD)}2', ('db', 'sync')),
            ],
            more=loud,
        )
        statuses()

    def test_a_server_that_hangs_is_not_waited_for(self):
        url = self.create()
        self.ended_with(0, self.commands.run(url, 'db', 'sync', 'aurora'))
        before = self.everything(url)
        self.server.process.send_signal(signal.SIGSTOP)
        try:
            status = self.statuses(url)
            ended = self.all_refused(
                1,
                [
                    (url, words)
                    for words in (('db', 'version'), ('db', 'expand'), ('service', 'list'))
                ],
                'cannot be reached',
                at_once=3,
            )
            self.assertLess(
                max(one.seconds for one in ended), _CONNECT_SECONDS + _START_SECONDS, ended
            )
            self.assertGreater(min(one.seconds for one in ended), _CONNECT_SECONDS - 1)
            status()
        finally:
            self.server.process.send_signal(signal.SIGCONT)
        self.assertEqual(before, self.everything(url))
        self.ended_with(0, self.commands.run(url, 'db', 'expand'))

    def test_a_user_who_may_only_read_can_look_and_change_nothing(self):
        url, reader = self.create(), self.url_of('reader')
        self.all_refused(1, [(reader, ('db', 'sync'))], 'ERROR DATABASE_ERROR', 'denied')
        self.assertEqual(({}, {}), self.everything(url))
        self.ended_with(0, self.commands.run(url, 'db', 'sync', 'aurora'))
        self.insert_as_aurora(url, 'a')
        self.ended_with(0, self.commands.run(url, 'db', 'expand'))
        before = self.everything(url)
        codes = {('db', 'check'): 4, ('db', 'has_offline_migrations'): 5}
        for ended in self.commands.all([(reader, words) for words in READING]):
            self.ended_with(codes.get(ended.words, 0), ended)
            self.assertEqual('', ended.err, str(ended))
        self.all_refused(
            1, [(reader, words) for words in CHANGING], 'ERROR DATABASE_ERROR', 'denied', 'upgrade_'
        )
        self.assertEqual(before, self.everything(url))
        self.ended_with(0, self.commands.run(url, 'db', 'sync'))

    def test_a_database_from_the_future_is_left_alone(self):
        url = self.create()
        self.ended_with(0, self.commands.run(url, 'db', 'sync', 'aurora'))
        self.move(url, 'aurora_expand01', _FUTURE)
        before, status = self.everything(url), self.statuses(url)
        asking = [words for words in READING if words[1] != 'list']
        self.all_refused(
            1,
            [(url, words) for words in (*asking, ('db', 'data', 'list'), *CHANGING)],
            'SCHEMA_FROM_THE_FUTURE',
            _FUTURE,
            'later one',
        )
        self.assertIn(_FUTURE, status()[0].out)
        self.ended_with(0, self.commands.run(url, 'service', 'list'))
        self.assertEqual(before, self.everything(url))
        self.move(url, _FUTURE, 'aurora_expand01')
        self.ended_with(0, self.commands.run(url, 'db', 'sync'))

    def move(self, url, before, after):
        """What another release would have written."""
        with self.database(url).write() as connection:
            connection.execute(
                sa.text(
                    'UPDATE alembic_version_trove_upgrade SET version_num = :after WHERE '
                    'version_num = :before'
                ),
                {'after': after, 'before': before},
            )

    def test_on_a_full_disk_nothing_is_lost(self):
        url, fresh = self.create(), self.server.create()
        self.ended_with(0, self.commands.run(url, 'db', 'sync', 'aurora'))
        self.insert_as_aurora(url, *(f'upgrade-{number}' for number in range(20)))
        before = self.everything(url)
        with self.database(
            fresh
        ).engine.connect():  # a server's first session in a database writes, too: that is not ours
            pass
        with self.server.full_disk():
            self.all_refused(
                1,
                [(url, ('db', 'expand')), (url, ('db', 'sync')), (fresh, ('db', 'sync'))],
                'ERROR DATABASE_ERROR',
                'No space left',
                'What had been finished stays',
                at_once=1,
            )
            for ended in self.commands.all([(url, ('db', 'version')), (url, ('upgrade', 'list'))]):
                self.assertIn(ended.code, {0, 1}, str(ended))
        self.assertEqual(before, self.everything(url))
        for one in (url, fresh):
            self.ended_with(0, self.commands.run(one, 'db', 'sync'), 'borealis_contract01')
        with self.database(url).engine.connect() as connection:
            self.assertEqual(
                40,
                connection.execute(
                    sa.text('SELECT COUNT(*) FROM instance_upgrade_steps')
                ).scalar_one(),
            )


class TestMariaDB(Refusals, OnMariaDB, CommandsTestCase):
    pass


class TestPostgreSQL(Refusals, OnPostgreSQL, CommandsTestCase):
    pass

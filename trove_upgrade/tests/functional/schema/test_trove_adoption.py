# SPDX-License-Identifier: Apache-2.0
"""Beside a real Trove: our tables come and go in a database that Trove's own migrations have made,
and nothing of Trove's changes.
"""

import subprocess
import tempfile

import sqlalchemy as sa

from trove_upgrade.db import repositories, trove_tables
from trove_upgrade.db.migrations import adoption, removal
from trove_upgrade.db.migrations.chain import MAIN
from trove_upgrade.domain.instances import Task
from trove_upgrade.domain.states import UpgradeState
from trove_upgrade.tests.functional.host import databases
from trove_upgrade.tests.functional.schema import real_trove
from trove_upgrade.tests.functional.schema.command_cases import CommandsTestCase

_EVERY = (real_trove.NEWEST, real_trove.OF_2024_2, real_trove.OF_2023_2)
#: What an older Trove has not made yet, of what Trove 26 has.
_LACKING = {
    real_trove.OF_2024_2: {'instances.ssl_mode', 'instances.ssl_ref'},
    real_trove.OF_2023_2: {
        'instances.ssl_mode',
        'instances.ssl_ref',
        'datastore_versions.registry_ext',
        'datastore_versions.repl_strategy',
        'backups.storage_driver',
    },
}
_DUMP = (
    '--skip-comments',
    '--skip-dump-date',
    '--order-by-primary',
    '--skip-extended-insert',
    '--skip-add-locks',
)


class TestAdoption(databases.OneServer, CommandsTestCase):
    """On MariaDB, as Trove's own first revision fails on PostgreSQL: it asks for a
    TEXT(4294967295).
    """

    server_class = databases.MariaDB

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory(prefix='tu-trove-')
        cls.addClassCleanup(folder.cleanup)
        cls.trove = real_trove.RealTrove(folder.name)
        cls.made = {}

    def with_trove(self, revision):
        """A database of a Trove of that revision, with rows in it; Trove makes the first of each,
        others are copies.
        """
        if revision not in self.made:
            url = self.server.create()
            self.trove.make(url, revision)
            real_trove.insert_rows(url)
            self.made[revision] = self.dumped(url)
        url = self.server.create()
        self.client('mariadb', url, given=self.made[revision])
        return url

    def client(self, program, url, *options, given=None):
        parsed = sa.make_url(url)
        argv = [
            program,
            '--no-defaults',
            f'--socket={parsed.query["unix_socket"]}',
            '--user=root',
            *options,
            parsed.database,
        ]
        done = subprocess.run(argv, input=given, capture_output=True, text=True, timeout=60)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def dumped(self, url):
        """Every table with its rows, in the server's own words."""
        return self.client('mysqldump', url, *_DUMP)

    def of_trove(self, url):
        """The same without ours."""
        name = sa.make_url(url).database
        return self.client(
            'mysqldump',
            url,
            *_DUMP,
            *(f'--ignore-table={name}.{table}' for table in removal.ours()),
        )

    def of_ours(self, url):
        """The schema of ours, with the rows of the version table."""
        with self.database(url).engine.connect() as connection:
            present = set(sa.inspect(connection).get_table_names())
            found = [
                connection.exec_driver_sql(f'SHOW CREATE TABLE {name}').one()[1]
                for name in removal.ours()
                if name in present
            ]
            versions = (
                connection.exec_driver_sql(f'SELECT * FROM {removal.ours()[0]}').all()
                if found
                else []
            )
        return found, sorted(map(str, versions))

    def manage(self, url, *words, code=0):
        """`trove-upgrade-manage` with Trove's own configuration file."""
        ended = self.ended_with(code, self.commands.run_with(self.trove.configuration(url), *words))
        return ended.out + ended.err

    def differing(self, url):
        """Between the tables that we think Trove has and those that it has."""
        with self.database(url).engine.connect() as connection:
            return adoption.differences(
                connection, trove_tables.METADATA, set(trove_tables.METADATA.tables)
            )

    def test_our_picture_of_troves_tables_is_troves(self):
        self.assertEqual([], self.differing(self.with_trove(real_trove.NEWEST)))

    def test_an_older_trove_lacks_columns_and_differs_in_nothing_else(self):
        for revision, lacking in _LACKING.items():
            found = self.differing(self.with_trove(revision))
            self.assertEqual({'add_column'}, {one[0] for one in found}, found)
            self.assertEqual(lacking, {f'{one[2]}.{one[3].name}' for one in found})

    def test_our_tables_come_and_go_and_trove_is_as_before(self):
        for revision in _EVERY:
            url = self.with_trove(revision)
            before = self.dumped(url)
            self.manage(url, 'db', 'plan')
            self.assertEqual(before, self.dumped(url))
            self.manage(url, 'db', 'sync')
            self.assertEqual(before, self.of_trove(url))
            self.manage(url, 'db', 'check')
            self.assertIn('Nothing has been changed', self.manage(url, 'db', 'remove'))
            self.manage(url, 'db', 'check')
            self.assertIn('none was touched', self.manage(url, 'db', 'remove', '--yes'))
            self.assertEqual(before, self.dumped(url))
            self.assertIn('Nothing to do', self.manage(url, 'db', 'remove', '--yes'))

    def test_phase_by_phase_from_the_first_release_on(self):
        url = self.with_trove(real_trove.NEWEST)
        before = self.dumped(url)
        self.manage(url, 'db', 'check', code=3)
        self.manage(url, 'db', 'sync', 'aurora')
        for words in (
            ('db', 'expand'),
            ('db', 'migrate'),
            ('db', 'contract'),
            ('db', 'check'),
            ('db', 'lint'),
            ('db', 'plan'),
            ('db', 'current'),
        ):
            self.manage(url, *words)
        self.assertEqual(before, self.of_trove(url))

    def test_phase_by_phase_from_the_release_below(self):
        url = self.with_trove(real_trove.NEWEST)
        before = self.dumped(url)
        self.manage(url, 'db', 'sync', MAIN.releases()[-2])
        self.manage(url, 'db', 'check', code=3)
        for words in (('db', 'expand'), ('db', 'migrate'), ('db', 'contract'), ('db', 'check')):
            self.manage(url, *words)
        self.assertEqual(before, self.of_trove(url))

    def test_tables_of_troves_form_are_refused_beside_every_trove(self):
        for revision in _EVERY:
            url = self.with_trove(revision)
            self.assertIn(
                'the tables of a real Trove', self.manage(url, 'db', 'sync', '--standalone', code=1)
            )
            self.assertEqual(self.made[revision], self.of_trove(url))

    def test_trove_upgrades_its_own_tables_with_ours_beside_them(self):
        for revision in (
            real_trove.NEWEST,
            real_trove.OF_2023_2,
        ):  # from there it comes through all of them
            url, alone = self.with_trove(revision), self.with_trove(revision)
            self.manage(url, 'db', 'sync')
            ours = self.of_ours(url)
            for one in (
                (url, alone) if revision != real_trove.NEWEST else (url,)
            ):  # alone nothing is left to do
                self.trove.manage(one, 'db_sync')
            self.assertEqual(self.dumped(alone), self.of_trove(url))
            self.assertEqual(ours, self.of_ours(url))
            self.assertEqual([], self.differing(url))
            self.manage(url, 'db', 'check')

    def test_upgrades_end_in_the_rows_of_every_trove(self):
        for revision in _EVERY:
            for state, task, version in (
                (UpgradeState.COMPLETED, Task.NONE, real_trove.VERSION_11_8),
                (UpgradeState.FAILED, Task.UPGRADING_ERROR, real_trove.VERSION_10_11),
            ):
                url = self.with_trove(revision)
                self.manage(url, 'db', 'sync')
                repos = repositories.Repositories.of(self.database(url))
                ended = self.upgraded(repos, state)
                found = repos.instances.get(real_trove.INSTANCE)
                self.assertEqual((task, version), (found.task, found.version.id))
                self.assertEqual(ended.cause, found.fault and found.fault.message)

    def upgraded(self, repos, state):
        """From PATCH to end."""
        with repos.database.write() as connection:
            connection.execute(
                sa.update(trove_tables.instances).values(compute_instance_id='server-1')
            )
        found = repos.instances.get(real_trove.INSTANCE)
        target = repos.datastores.version(real_trove.DATASTORE, '11.8')
        begun = repos.upgrades.begin(
            found, target, target_image_id='image-2', request_id=None, user_id=None
        )
        held = repos.upgrades.claim(begun.id, 'host-1', 60)
        failed = state is UpgradeState.FAILED
        return repos.upgrades.end(
            held,
            state,
            cause='it broke' if failed else None,
            error_code='BROKEN' if failed else None,
        ).upgrade

    def test_what_is_needed_is_not_removed(self):
        url = self.with_trove(real_trove.NEWEST)
        self.manage(url, 'db', 'sync')
        repos = repositories.Repositories.of(self.database(url))
        service = repos.services.register('host-1', 'trove-upgrade-taskmanager', '1.0')
        failed = self.upgraded(repos, UpgradeState.FAILED)
        self.refuses_removal(url, service.id, real_trove.INSTANCE)
        held = repos.upgrades.claim(repos.upgrades.retry(failed.id).id, 'host-1', 60)
        self.refuses_removal(url, service.id, held.id)
        repos.upgrades.end(held, UpgradeState.COMPLETED)
        self.refuses_removal(url, service.id)
        repos.services.remove(service)
        before, said = self.of_trove(url), self.manage(url, 'db', 'remove')
        self.assertIn('The history of 1 upgrades goes', said)
        self.assertIn('messages have not been sent', said)
        self.manage(url, 'db', 'remove', '--yes')
        self.assertEqual(before, self.dumped(url))

    def refuses_removal(self, url, *named):
        """With and without --yes, and nothing is changed."""
        before = self.of_ours(url)
        for words in (('db', 'remove'), ('db', 'remove', '--yes')):
            said = self.manage(url, *words, code=1)
            self.assertEqual(
                [], [word for word in ('REMOVAL_REFUSED', *named) if word not in said], said
            )
        self.assertEqual(before, self.of_ours(url))

    def test_a_removal_that_was_killed_is_not_taken_for_a_whole_schema_and_can_be_finished(self):
        url = self.with_trove(real_trove.NEWEST)
        before = self.dumped(url)
        self.manage(url, 'db', 'sync')
        with self.database(url).write() as connection:
            for name in removal.ours()[:3]:
                connection.exec_driver_sql(f'DROP TABLE {name}')
        self.assertIn('SCHEMA_NOT_RECOGNIZED', self.manage(url, 'db', 'sync', code=1))
        self.manage(url, 'db', 'remove', '--yes')
        self.assertEqual(before, self.dumped(url))

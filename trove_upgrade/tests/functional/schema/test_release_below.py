# SPDX-License-Identifier: Apache-2.0
"""An older release serves while this one's expand and migrate run on old upgrades, serves beside
it, and goes before its contract.

No request of either release may fail at any moment, and no step of any upgrade's history may be
lost.  From aurora, whose rows are moved; and from the release below, borealis, whose rows stay:
there this release serves before its expand, too, and the older one goes on after the contract where
an operator forces it.
"""

import contextlib
import datetime
import json
import os
import pathlib
import subprocess
import sys
import time
import uuid

import sqlalchemy as sa
from testtools import content

from trove_upgrade.db import engine, models, repositories, trove_tables
from trove_upgrade.db.migrations.position import Phase
from trove_upgrade.db.migrations.runner import Runner
from trove_upgrade.db.release import RELEASE
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.schema import aurora, old_rows, serving

#: A million rows move in two minutes on an idle machine; this one may be none.
_TOOL_SECONDS = 1800

_TOOL = pathlib.Path(sys.executable).with_name('trove-upgrade-manage')


class OnARealServer:
    """The world of two releases, on a server."""

    old_upgrades = 1_000_000
    turns = 30  #: that each release takes after the other

    def setUp(self):
        super().setUp()
        self.server = self.useFixture(self.server_class())
        self.url = self.server.create()
        self.database = engine.Database.from_url(self.url)
        self.addCleanup(self.database.dispose)
        self.engine = self.database.engine
        self.configuration = self.server.folder / 'trove-upgrade.conf'
        self.configuration.write_text(f'[database]\nconnection = {self.url}\n')
        self.world = serving.World()
        self.workers = []
        self.addCleanup(self.stop_all)
        self.phases = {}
        self.addOnException(
            lambda _info: self.addDetail(
                'phases', content.text_content(json.dumps(self.phases, indent=1))
            )
        )

    def stop_all(self):
        for worker in self.workers:
            worker.drain(wait=False)
        for worker in self.workers:
            worker.join(serving.SECONDS)

    @contextlib.contextmanager
    def phase(self, name):
        began_at = time.monotonic()
        yield
        self.phases[name] = round(time.monotonic() - began_at, 1)
        if os.environ.get('TROVE_UPGRADE_PHASES'):
            print(
                f'{self.engine.dialect.name}: {name}: {self.phases[name]} s',
                file=sys.stderr,
                flush=True,
            )

    def tool(self, *words):
        """The command as an operator gives it.  Its exit code, and all that it says."""
        done = subprocess.run(
            [_TOOL, '--config-file', self.configuration, 'db', *words],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TOOL_SECONDS,
        )
        return done.returncode, done.stdout

    def assert_tool(self, code, *words):
        ended, said = self.tool(*words)
        self.assertEqual(code, ended, f'db {" ".join(words)}: {said}')
        return said

    def make_the_old_world(self):
        Runner(self.engine).sync(aurora.RELEASE, standalone=True)
        old_rows.load(self.engine, self.old_upgrades)
        entries = old_rows.entries(self.engine)
        Runner(self.engine).sync(self.older.release)
        self.versions = []
        with self.engine.begin() as connection:
            connection.execute(
                sa.insert(trove_tables.datastores).values(id='mariadb', name='mariadb')
            )
            for number in serving.VERSIONS:
                self.versions.append(str(uuid.uuid4()))
                connection.execute(
                    sa.insert(trove_tables.datastore_versions).values(
                        id=self.versions[-1],
                        datastore_id='mariadb',
                        name=number,
                        version=number,
                        manager='mariadb',
                        image_id='image',
                        packages='',
                        active=True,
                        registry_ext='',
                        repl_strategy='',
                    )
                )
            now = datetime.datetime.now(datetime.UTC)
            for _ in range(2 * serving.LIVING):
                instance_id = str(uuid.uuid4())
                connection.execute(
                    sa.insert(trove_tables.instances).values(
                        id=instance_id,
                        name='db',
                        tenant_id=serving.PROJECT,
                        compute_instance_id=str(uuid.uuid4()),
                        datastore_version_id=self.versions[0],
                        task_id=1,
                        created=now,
                        updated=now,
                        deleted=False,
                        flavor_id='6',
                        volume_size=1,
                        region_id='RegionOne',
                    )
                )
                self.world.instances.put(instance_id)
        return entries

    def serve(self, make):
        started = [
            kind(self.world, make, self.url, f'{make.release}-{number}', self.versions)
            for number, kind in enumerate((serving.Worker, serving.Worker, serving.Reader), start=1)
        ]
        for worker in started:
            worker.start()
        self.workers += started
        self.wait_for_turns(10)
        return started

    def wait_for_turns(self, count):
        """Of each worker that runs."""
        at = {worker: worker.turns + count for worker in self.workers if worker.is_alive()}
        serving.wait_for(
            lambda: (
                all(worker.turns >= turns for worker, turns in at.items())
                or self.world.failures.found
            ),
            f'{count} turns of each worker',
        )
        self.assert_no_failure()

    def assert_no_failure(self):
        self.assertEqual(
            [], self.world.failures.found[:3], f'{len(self.world.failures.found)} requests failed'
        )

    def expand(self):
        with self.phase('expand beside the older release'):
            self.assert_tool(0, 'expand')
            self.wait_for_turns(3)

    def take_turns(self):
        """Each of the two releases at upgrades that the other wrote last."""
        taken, older = self.world.turns_taken, self.older.release
        goals = {pair: taken(*pair) + self.turns for pair in ((older, RELEASE), (RELEASE, older))}
        serving.wait_for(
            lambda: (
                all(taken(*pair) >= count for pair, count in goals.items())
                or self.world.failures.found
            ),
            f'each release takes {self.turns} turns after the other',
        )
        self.assert_no_failure()

    def refuse_to_contract_beside(self, old):
        with self.phase('contract is refused'):
            said = self.assert_tool(6, 'contract')
            for worker in old:
                self.assertIn(worker.name, said)
            self.assertNotIn(f'{RELEASE}-', said)

    def assert_nothing_is_lost(self, entries):
        copied = old_rows.copied(self.engine)
        self.assertEqual(old_rows.expected(self.old_upgrades), copied)
        self.assertEqual(entries, sum(rows for *_, rows in copied))
        repository = repositories.Repositories.of(self.database).upgrades
        for upgrade_id, history in self.world.expected.items():
            self.assertEqual(
                history,
                [serving.entry_of(run) for run in repository.get(upgrade_id).steps],
                self.world.writers[upgrade_id],
            )
        with self.engine.connect() as connection:
            of_others = sa.select(sa.func.count()).select_from(models.instance_upgrade_steps)
            self.assertEqual(
                entries + sum(map(len, self.world.expected.values())),
                connection.execute(of_others).scalar_one(),
            )
        writers = [set(each) for each in self.world.writers.values()]
        self.assertGreater(sum(each == {self.older.release, RELEASE} for each in writers), 5)


class FromAurora(OnARealServer):
    """The whole way of a rolling upgrade; each server below goes it."""

    older = serving.AsAurora

    def test_no_request_fails_and_no_step_is_lost(self):
        with self.phase('sync to aurora, old upgrades'):
            entries = self.make_the_old_world()
        with self.phase('aurora alone'):
            old = self.serve(self.older)
        self.expand()
        with self.phase('migrate beside aurora'):
            code, said = self.tool('migrate', '--batch-size', '4000')
            self.assertIn(code, (0, 9), said)  # 9: aurora has written since
            self.wait_for_turns(3)
        with self.phase('both releases'):
            self.serve(serving.AsInstalled)
            self.take_turns()
        self.refuse_to_contract_beside(old)
        with self.phase('aurora drains'):
            for worker in old:
                worker.drain()
        self.contract()
        with self.phase('this release stops'):
            self.stop_all()
        self.assert_no_failure()
        with self.phase('what is there is compared'):
            self.assert_nothing_is_lost(entries)

    def contract(self):
        with self.phase('migrate what aurora wrote last'):
            self.assert_tool(4, 'contract')
            self.assert_tool(4, 'check')
            self.assert_tool(0, 'migrate')
        with self.phase('contract beside this release'):
            self.assert_tool(0, 'contract')
            self.wait_for_turns(20)
            self.assert_tool(0, 'check')


class FromBorealis(OnARealServer):
    """No row is moved and nothing is taken away, so both releases serve before, between and after
    all phases.
    """

    older = serving.AsBorealis

    def test_no_request_fails_on_the_schema_of_either_release(self):
        with self.phase('sync to borealis, old upgrades'):
            entries = self.make_the_old_world()
        with self.phase('borealis alone, and this release before its expand'):
            old = self.serve(self.older)
            self.serve(serving.AsInstalled)
            self.take_turns()
        self.assertIs(Phase.EXPAND, Runner(self.engine).position().next)
        self.expand()
        self.assertIs(Phase.CONTRACT, Runner(self.engine).position().next)
        with self.phase('both on the expanded schema'):
            self.take_turns()
        self.refuse_to_contract_beside(old)
        with self.phase('both on the contracted schema'):
            self.assert_tool(0, 'contract', '--force', '--reason', 'it takes nothing away')
            self.assertIsNone(Runner(self.engine).position().next)
            self.take_turns()
        with self.phase('both stop'):
            self.stop_all()
        self.assert_no_failure()
        self.assert_nothing_is_lost(entries)


class ReleaseBelowOnMariaDBTestCase(FromBorealis, base.TestCase):
    server_class = old_rows.MariaDB
    old_upgrades = 1_000
    turns = 10

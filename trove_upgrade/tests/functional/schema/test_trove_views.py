# SPDX-License-Identifier: Apache-2.0
"""What Trove's own code shows of an instance while, and after, we upgrade it: on Trove's schema,
through Trove's models.
"""

import json
import pathlib
import subprocess
import tempfile

from trove_upgrade.db import engine, models, repositories, trove_tables
from trove_upgrade.domain import states
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.schema import real_trove

#: Run by the interpreter of Trove's environment: the API's own way to status, operating status and
#: fault.
_SHOW = """
import json, sys
from trove.common import cfg
cfg.CONF(['--config-file', sys.argv[1]], project='trove')
from trove.common.context import TroveContext
from trove.db import get_db_api
get_db_api().configure_db()
from trove.instance import models
row = models.DBInstance.find_by(id=sys.argv[2])
row.server_status = 'ACTIVE'
shown = models.SimpleInstance(TroveContext(is_admin=True), row, \
models.InstanceServiceStatus.find_by(instance_id=row.id))
print(json.dumps({'status': shown.status, 'operating_status': shown.operating_status, \
'version': shown.ds_version.name,
                  'fault': shown.fault.message if shown.fault else None}))
"""


class TestTrovesViews(base.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(
            self.enterContext(tempfile.TemporaryDirectory(prefix='tu-views-'))
        )
        self.trove = real_trove.RealTrove(self.folder)
        url = f'sqlite:///{self.folder}/trove.db'
        self.trove.make(url)
        real_trove.insert_rows(url)
        database = engine.Database.from_url(url)
        self.addCleanup(database.dispose)
        models.METADATA.create_all(database.engine)
        self.repos = repositories.Repositories.of(database)
        with database.write() as connection:
            connection.execute(
                trove_tables.instances.update().values(compute_instance_id='server-1')
            )

    def shown(self):
        argv = [
            self.trove.interpreter(),
            '-W',
            'ignore',
            '-c',
            _SHOW,
            str(self.folder / 'trove.conf'),
            real_trove.INSTANCE,
        ]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
        self.assertEqual(0, done.returncode, done.stderr)
        return json.loads(done.stdout.splitlines()[-1])

    def end(self, upgrade_id, state, **why):
        upgrades = self.repos.upgrades
        return upgrades.end(upgrades.claim(upgrade_id, 'me', 60), state, **why).upgrade

    def test_upgrade_then_error_with_its_cause_then_active_with_the_new_version_and_no_fault(self):
        instance = self.repos.instances.get(real_trove.INSTANCE)
        target = self.repos.datastores.version_by_id(real_trove.VERSION_11_8)
        begun = self.repos.upgrades.begin(
            instance, target, target_image_id='image-2', request_id=None, user_id=None
        )
        during = self.shown()
        self.assertEqual(
            ('UPGRADE', '', '10.11'),
            (during['status'], during['operating_status'], during['version']),
        )

        self.end(
            begun.id, states.UpgradeState.FAILED, cause='no heartbeat', error_code='BOOT_TIMEOUT'
        )
        self.assertEqual(
            {
                'status': 'ERROR',
                'operating_status': '',
                'version': '10.11',
                'fault': 'no heartbeat',
            },
            self.shown(),
        )

        self.repos.upgrades.retry(begun.id)
        self.end(begun.id, states.UpgradeState.COMPLETED)
        self.assertEqual(
            {'status': 'ACTIVE', 'operating_status': 'HEALTHY', 'version': '11.8', 'fault': None},
            self.shown(),
        )

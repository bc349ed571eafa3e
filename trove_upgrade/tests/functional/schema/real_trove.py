# SPDX-License-Identifier: Apache-2.0
"""Databases that the real Trove's own migrations have made, by the real trove-manage of the cloud's
environment.
"""

import datetime
import os
import pathlib
import subprocess

import sqlalchemy as sa

from lab.layout import Layout
from lab.venv import CloudVenv

#: Before any test begins: each has a HOME of its own, where no environment is.
_LAYOUT = Layout.from_environ()
_SECONDS = 120
#: Newest revision of Trove's own chain, by the first release that has it.  Source:
#: trove/db/sqlalchemy/migrations/versions of each.
NEWEST = '95418fe2a1c8'  #: 26
OF_2024_2 = '7ee6154548a6'  #: 23 to 25
#: 21 and before: what their 48 revisions of sqlalchemy-migrate make, as Trove itself takes it over
OF_2023_2 = '906cffda7b29'
_LAST_LEGACY = 48

DATASTORE, VERSION_10_11, VERSION_11_8, INSTANCE = (
    f'{number}{"0" * 7}-1111-4222-8333-444444444444' for number in '1234'
)

#: As an operator has it; nothing of ours is in it.
_CONF = """
[DEFAULT]
transport_url = rabbit://trove:password@127.0.0.1:1/
log_dir = {folder}
api_paste_config = /etc/trove/api-paste.ini
[database]
connection = {url}
[service_credentials]
auth_url = http://127.0.0.1:1/v3
region_name = RegionOne
username = trove
project_name = service
"""


class RealTrove:
    """Trove's programs, with a configuration file of Trove's for each database."""

    def __init__(self, folder):
        self._folder = pathlib.Path(folder)
        self._venv = CloudVenv(
            venvs_dir=_LAYOUT.venvs_dir, log=self._folder / 'venv.log', environ=os.environ
        )
        self._venv.ensure(lambda _: None)

    def configuration(self, url):
        """The text of trove.conf."""
        return _CONF.format(url=url, folder=self._folder)

    def interpreter(self):
        """Python as Trove's programs have it."""
        return self._venv.program('python')

    def manage(self, url, *words):
        """`trove-manage`, to its end, which must be a good one; what it has said."""
        path = self._folder / 'trove.conf'
        path.write_text(self.configuration(url))
        argv = [self._venv.program('trove-manage'), '--config-file', str(path), *words]
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            env={**os.environ, 'HOME': str(self._folder)},
        )
        if done.returncode:
            raise AssertionError(
                f'trove-manage {" ".join(words)} ended with '
                f'{done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}'
            )
        return done.stdout

    def make(self, url, revision=NEWEST):
        """Trove's tables up to one of its own revisions; those of 2023.2 under the version table
        that they had then.
        """
        self.manage(url, 'db_upgrade', '--version', revision)
        if revision == OF_2023_2:
            as_of_sqlalchemy_migrate(url)


def as_of_sqlalchemy_migrate(url):
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql('DROP TABLE alembic_version')
        connection.exec_driver_sql(
            'CREATE TABLE migrate_version (repository_id VARCHAR(250) PRIMARY KEY, '
            'repository_path TEXT, version INTEGER)'
        )
        connection.execute(
            sa.text(
                "INSERT INTO migrate_version VALUES ('Trove Migrations', '/old/migrate_repo', "
                ':version)'
            ),
            {'version': _LAST_LEGACY},
        )
    engine.dispose()


def insert_rows(url):
    """One of each that matters to an upgrade; by names, as an older Trove lacks the newest
    columns.
    """
    engine = sa.create_engine(url)
    present = sa.MetaData()
    present.reflect(engine)
    when = datetime.datetime(2026, 2, 3, 4, 5, 6)
    rows = (
        ('datastores', {'id': DATASTORE, 'name': 'mariadb', 'default_version_id': VERSION_10_11}),
        (
            'datastore_versions',
            {
                'id': VERSION_10_11,
                'datastore_id': DATASTORE,
                'name': '10.11',
                'version': '10.11',
                'image_id': 'image-1',
                'packages': '',
                'active': True,
                'manager': 'mariadb',
                'image_tags': 'trove',
                'registry_ext': 'x.y',
                'repl_strategy': 'z.Gtid',
            },
        ),
        (
            'datastore_versions',
            {
                'id': VERSION_11_8,
                'datastore_id': DATASTORE,
                'name': '11.8',
                'version': '11.8',
                'image_id': 'image-2',
                'packages': '',
                'active': True,
                'manager': 'mariadb',
                'image_tags': '',
                'registry_ext': 'x.y',
                'repl_strategy': 'z.Gtid',
            },
        ),
        (
            'instances',
            {
                'id': INSTANCE,
                'name': 'orders',
                'tenant_id': 'project-1',
                'task_id': 1,
                'task_description': 'No tasks for the instance.',
                'created': when,
                'updated': when,
                'deleted': False,
                'datastore_version_id': VERSION_10_11,
                'flavor_id': '7',
                'volume_size': 5,
                'encrypted_key': 'k' * 64,
                'access': '{"is_public": false}',
                'region_id': 'RegionOne',
                'server_status': 'ACTIVE',
            },
        ),
        (
            'service_statuses',
            {
                'id': 'status-1',
                'instance_id': INSTANCE,
                'status_id': 0x21,
                'status_description': 'healthy',
                'updated_at': when,
            },
        ),
        (
            'instance_faults',
            {
                'id': 'fault-1',
                'instance_id': INSTANCE,
                'message': 'm',
                'details': 'd',
                'created': when,
                'updated': when,
                'deleted': True,
                'deleted_at': when,
            },
        ),
        (
            'backups',
            {
                'id': 'backup-1',
                'name': 'nightly',
                'state': 'COMPLETED',
                'instance_id': INSTANCE,
                'tenant_id': 'project-1',
                'size': 0.5,
                'deleted': False,
                'created': when,
                'updated': when,
                'datastore_version_id': VERSION_10_11,
                'storage_driver': 'swift',
            },
        ),
        (
            'quotas',
            {'id': 'quota-1', 'tenant_id': 'project-1', 'resource': 'instances', 'hard_limit': 10},
        ),
    )
    with engine.begin() as connection:
        for name, row in rows:
            table = present.tables[name]
            connection.execute(
                sa.insert(table).values(
                    {key: value for key, value in row.items() if key in table.c}
                )
            )
    engine.dispose()

# SPDX-License-Identifier: Apache-2.0
"""The version of the distribution, where there is no git to ask."""

import os
import pathlib
import shutil
import subprocess
import sys

import fixtures
import testtools

from troveupgradeclient.tests import base


class TestVersion(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = self.useFixture(fixtures.TempDir()).path
        shutil.copytree(
            base.DISTRIBUTION,
            f'{self.folder}/client',
            ignore=shutil.ignore_patterns('*.egg-info', 'build', 'tests', '__pycache__'),
        )

    def version(self, **environment):
        kept = {name: value for name, value in os.environ.items() if name != 'PBR_VERSION'}
        told = subprocess.run(
            [sys.executable, 'setup.py', '--version'],
            cwd=f'{self.folder}/client',
            env={**kept, 'GIT_DIR': f'{self.folder}/none', **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return told.stdout.strip() if told.returncode == 0 else None

    def write(self, name, version, folder=''):
        told = f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n'
        pathlib.Path(self.folder, folder, 'PKG-INFO').write_text(told)

    def test_a_source_archive_of_the_repository_has_it(self):
        self.write('trove-upgrade', '4.5.6')
        self.assertEqual('4.5.6', self.version())
        self.assertEqual('7.8.9', self.version(PBR_VERSION='7.8.9'))

    def test_a_source_archive_of_the_client_has_its_own(self):
        self.write('trove-upgrade', '4.5.6')
        self.write('python-troveupgradeclient', '1.2.3', 'client/')
        self.assertEqual('1.2.3', self.version())

    def test_a_plain_copy_is_told_it_by_the_environment(self):
        self.write('another-project', '4.5.6')
        self.assertIsNone(self.version())
        self.assertEqual('7.8.9', self.version(PBR_VERSION='7.8.9'))

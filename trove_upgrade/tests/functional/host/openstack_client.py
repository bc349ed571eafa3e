# SPDX-License-Identifier: Apache-2.0
"""Real openstack commands of several releases with our plugin, each in its own environment."""

import os
import pathlib
import shutil
import subprocess
import sys

import fixtures

from lab.layout import Layout
from lab.venv import CloudVenv, pins_file
from trove_upgrade.tests import base
from troveupgradeclient.tests.base import DISTRIBUTION, Ended
from troveupgradeclient.tests.standin.server import StandIn

NEWEST, YEAR_OLDER = 'openstackclient', 'openstackclient-2025'
COMMAND_SECONDS = 120


class OpenStackClient(fixtures.Fixture):
    """The openstack command of one release; the plugin is built from the checkout."""

    def __init__(self, pins):
        super().__init__()
        self._pins = pins

    def _setUp(self):
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        venv = CloudVenv(
            venvs_dir=Layout.from_environ().venvs_dir,
            log=folder / 'venv.log',
            environ=dict(os.environ),
            pins=pins_file(self._pins),
        )
        venv.ensure(lambda _: None)
        self.bin = venv.path / 'bin'
        self.plugin = folder / 'plugin'
        source = folder / 'client'
        shutil.copytree(
            DISTRIBUTION,
            source,
            ignore=shutil.ignore_patterns('build', '*.egg-info', '__pycache__'),
        )
        subprocess.run(
            (
                *(pathlib.Path(sys.executable).parent / 'uv', 'pip', 'install', '-q', '--no-deps'),
                *('--no-build-isolation', '--python', venv.program('python')),
                *('--target', self.plugin, source),
            ),
            env={**os.environ, 'PBR_VERSION': '0.0.1'},
            check=True,
        )


class OpenStackClientCase(base.TestCase):
    """The server that stands in, and an openstack command that finds it."""

    pins = NEWEST

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.programs = OpenStackClient(cls.pins)
        cls.programs.setUp()
        cls.addClassCleanup(cls.programs.cleanUp)

    def setUp(self):
        super().setUp()
        self.standin = self.useFixture(StandIn())
        self.world = self.standin.world
        self.environment = {
            'PATH': f'{self.programs.bin}:/usr/bin:/bin',
            'PYTHONPATH': str(self.programs.plugin),
            'HOME': self.useFixture(fixtures.TempDir()).path,
            'LANG': 'C.UTF-8',
            **self.standin.environment,
        }

    def openstack(self, *words, **variables):
        done = subprocess.run(
            ('openstack', *words),
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        self.assertNotIn('Traceback', done.stderr)
        return Ended(done.returncode, done.stdout, done.stderr)

    def run_command(self, *words):
        """The end of `openstack database upgrade WORDS`."""
        return self.openstack('database', 'upgrade', *words)

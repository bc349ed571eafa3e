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
from troveupgradeclient.tests.base import DISTRIBUTION, Ended, commands
from troveupgradeclient.tests.standin.server import StandIn

NEWEST, YEAR_OLDER = 'openstackclient', 'openstackclient-2025'
COMMAND_SECONDS = 120
#: The function at its beginning is the package bash-completion's.
_COMPLETE = """
_get_comp_words_by_ref() { cur=${COMP_WORDS[COMP_CWORD]} words=("${COMP_WORDS[@]}"); }
source <(openstack complete)
COMP_WORDS=(openstack database upgrade '') COMP_CWORD=3
_openstack
printf '%s\\n' "${COMPREPLY[@]}"
"""


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

    def environment(self, home, cloud):
        """Of a user's shell; `cloud` are the variables by which a cloud is found."""
        return {
            'PATH': f'{self.bin}:/usr/bin:/bin',
            'PYTHONPATH': str(self.plugin),
            'HOME': home,
            'LANG': 'C.UTF-8',
            **cloud,
        }

    def run(self, environment, *words, seconds=COMMAND_SECONDS):
        """The end of `openstack WORDS`."""
        return self.run_program(environment, 'openstack', *words, seconds=seconds)

    def completions(self, environment):
        """The words with which bash completes `openstack database upgrade`."""
        return set(self.run_program(environment, '/bin/bash', '-c', _COMPLETE).out.split())

    def run_program(self, environment, *argv, seconds=COMMAND_SECONDS):
        done = subprocess.run(
            argv, env=environment, capture_output=True, text=True, check=False, timeout=seconds
        )
        return Ended(done.returncode, done.stdout, done.stderr)


class OfRelease:
    """Of a test case with the openstack command of one release, which its `openstack` runs."""

    pins = NEWEST

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.programs = OpenStackClient(cls.pins)
        cls.programs.setUp()
        cls.addClassCleanup(cls.programs.cleanUp)

    def assert_described(self, environment):
        """Each command has its help, all have one in common, and bash completes them."""
        overview = self.openstack('--help').out
        for name in commands():
            self.assertIn(f'  {name}  ', overview)
            text = self.openstack('help', *name.split()).out
            self.assertIn(f'usage: openstack {name}', ' '.join(text.split()))
        _, *listed = self.openstack('help', 'database upgrade').out.strip().splitlines()
        self.assertEqual(sorted(commands()), [line.strip() for line in listed])
        words = {name.split()[2] for name in commands()}
        self.assertLessEqual(words, self.programs.completions(environment))


class OpenStackClientCase(OfRelease, base.TestCase):
    """The server that stands in, and an openstack command that finds it."""

    def setUp(self):
        super().setUp()
        self.standin = self.useFixture(StandIn())
        self.world = self.standin.world
        self.environment = self.programs.environment(
            self.useFixture(fixtures.TempDir()).path, self.standin.environment
        )

    def openstack(self, *words, **variables):
        ended = self.programs.run({**self.environment, **variables}, *words)
        self.assertNotIn('Traceback', ended.err)
        return ended

    def run_command(self, *words):
        """The end of `openstack database upgrade WORDS`."""
        return self.openstack('database', 'upgrade', *words)

# SPDX-License-Identifier: Apache-2.0
"""The unmodified clients, as a user types them."""

import pathlib
import subprocess
import sys
from collections.abc import Mapping

from trove_upgrade.lab import errors

CLIENT_SECONDS = 120.0


def exports(auth_url: str, username: str, password: str, project: str, region: str) -> dict[str, str]:
    """What a user sources before `trove` or `openstack`."""
    return {'OS_AUTH_URL': auth_url, 'OS_USERNAME': username, 'OS_PASSWORD': password, 'OS_PROJECT_NAME': project,
            'OS_USER_DOMAIN_NAME': 'Default', 'OS_PROJECT_DOMAIN_NAME': 'Default', 'OS_REGION_NAME': region,
            'OS_IDENTITY_API_VERSION': '3', 'OS_AUTH_TYPE': 'password', 'no_proxy': '127.0.0.1,localhost'}


class Clients:
    """Runs `trove` and `openstack` as one user."""

    def __init__(self, env: Mapping[str, str], programs_dir: pathlib.Path | None = None) -> None:
        self._env = env
        self._programs = programs_dir or pathlib.Path(sys.executable).parent

    def run(self, program: str, *arguments: str) -> str:
        """What it printed.

        :raises CommandFailed: it ended with another code than 0; what it said is in the message.
        """
        done = self.attempt(program, *arguments)
        if done.returncode != 0:
            raise errors.CommandFailed(f'{program} {" ".join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}')
        return done.stdout

    def attempt(self, program: str, *arguments: str) -> 'subprocess.CompletedProcess[str]':
        """Run it, however it ends."""
        env = {'PATH': '/usr/bin:/bin', 'HOME': '/nonexistent', 'LANG': 'C.UTF-8', 'PYTHONWARNINGS': 'ignore', **self._env}
        return subprocess.run([str(self._programs / program), *arguments], env=env, capture_output=True, text=True,
                              timeout=CLIENT_SECONDS, check=False)

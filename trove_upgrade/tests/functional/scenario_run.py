# SPDX-License-Identifier: Apache-2.0
"""Runs scenario/, which knows nothing of the product or of the lab, against one instance of the
running cloud.
"""

import os
import subprocess
import sys

from lab.relay import relay

SECONDS = 400.0


def run(handle, fabric, instance, target, *, user, password, database):
    """How it ended: an upgrade of `instance` to the version of that name, by the user demo."""
    with relay(lambda: fabric.connect(instance.network_id, (instance.address, 3306))) as port:
        env = (
            os.environ
            | handle.users['demo'].environ()
            | {
                'SCENARIO_INSTANCE_ID': instance.id,
                'SCENARIO_TARGET_VERSION': target,
                'SCENARIO_SQL_HOST': '127.0.0.1',
                'SCENARIO_SQL_PORT': str(port),
                'SCENARIO_SQL_USER': user,
                'SCENARIO_SQL_PASSWORD': password,
                'SCENARIO_SQL_DATABASE': database,
                'SCENARIO_POLL_SECONDS': '0.5',
            }
        )
        return subprocess.run(
            [sys.executable, '-m', 'unittest', '-v', 'scenario.test_instance_upgrade'],
            env=env,
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )

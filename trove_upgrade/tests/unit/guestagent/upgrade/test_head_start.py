# SPDX-License-Identifier: Apache-2.0
"""The place of a head start in the agent's program; what it brings is in `test_carried_image`."""

import json
import pathlib
import subprocess
import sys
import textwrap

import fixtures

from trove_upgrade.tests.unit import base

_COMPOSED = textwrap.dedent("""
    import json, pathlib, sys
    events = []
    def imported(event, arguments):
        if event == 'import' and arguments[0] in ('oslo_messaging', 'oslo_service'):
            events.append(arguments[0])
    def called(frame, event, _argument):
        where = frame.f_globals.get('__name__', ''), frame.f_code.co_name
        if event == 'call' and where == ('trove_upgrade.guestagent.upgrade.head_start', 'begin'):
            events.append('head start')
    sys.addaudithook(imported)
    sys.setprofile(called)
    from oslo_config import cfg
    from trove_upgrade.cmd import guestagent
    from trove_upgrade.conf import start
    from trove_upgrade.guestagent.storage.layout import Layout
    guestagent._keep_out_eventlet()
    guestagent._register(cfg.CONF)
    directory = pathlib.Path(sys.argv[1])
    start.read(cfg.CONF, ['--config-file', str(directory / 'own.conf')], program='agent')
    start.open_log(cfg.CONF)
    guestagent._composed(cfg.CONF, Layout(directory))
    sys.setprofile(None)
    from oslo_service import backend
    print(json.dumps({
        'events': list(dict.fromkeys(events)),
        'backend': backend.get_backend_type().name,
        'eventlet': bool(sys.modules['eventlet']),
    }))
""")
_OWN = """
[DEFAULT]
guest_id = one
datastore_manager = mariadb
transport_url = fake:/
"""


class TestHeadStart(base.TestCase):
    def test_it_begins_before_messaging_is_loaded_and_that_gets_native_threads(self):
        directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (directory / 'own.conf').write_text(_OWN)
        done = subprocess.run(
            [sys.executable, '-c', _COMPOSED, str(directory)],
            check=True,
            capture_output=True,
            text=True,
        )
        self.assertEqual(
            {
                'events': ['head start', 'oslo_service', 'oslo_messaging'],
                'backend': 'THREADING',
                'eventlet': False,
            },
            json.loads(done.stdout.splitlines()[-1]),
        )

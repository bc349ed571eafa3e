# SPDX-License-Identifier: Apache-2.0
import pathlib
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import fixtures

from lab.hypervisor import metadata
from trove_upgrade.tests.unit import base


class MetadataTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def serve(self):
        server = metadata.MetadataServer(('127.0.0.1', 0), self.directory)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        self.url = f'http://127.0.0.1:{server.server_port}'

    def fetch(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return answer.read()

    def test_a_guest_is_shown_its_own_user_data_and_none_of_another(self):
        self.serve()
        metadata.publish(self.directory, '10.0.0.9', b'of another', '{}')
        self.assertRaises(urllib.error.HTTPError, self.fetch, '/openstack/latest/user_data')
        metadata.publish(self.directory, '127.0.0.1', b'own \x00\xff', '{"a": 1}')
        for path in ('/openstack/latest/user_data', '/latest/user-data', '/2009-04-04/user-data'):
            self.assertEqual(b'own \x00\xff', self.fetch(path))
        self.assertEqual(b'{"a": 1}', self.fetch('/openstack/latest/meta_data.json'))
        metadata.publish(self.directory, '127.0.0.1', b'of the rebuild', '{}')
        self.assertEqual(b'of the rebuild', self.fetch('/latest/user-data'))

    def test_other_paths_lead_nowhere(self):
        self.serve()
        metadata.publish(self.directory, '127.0.0.1', b'own', '{}')
        for path in ('/', '/../10.0.0.9/user_data', '/latest/user-data/..', '/openstack'):
            self.assertRaises(urllib.error.HTTPError, self.fetch, path)

    def test_the_program_lets_go_of_its_output_once_it_answers(self):
        record = self.directory / 'metadata.pid'
        program = [
            sys.executable,
            '-I',
            metadata.__file__,
            '--address',
            '127.0.0.1',
            '--port',
            '0',
            '--directory',
            str(self.directory),
        ]
        process = subprocess.Popen(
            [*program, '--pid-file', str(record)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            self.assertEqual(b'', process.stdout.read())  # returns when it has closed its output
            self.assertEqual(process.pid, int(record.read_text()))
        finally:
            process.stdout.close()
            process.kill()
            process.wait()

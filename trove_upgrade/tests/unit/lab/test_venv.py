# SPDX-License-Identifier: Apache-2.0
import pathlib

from lab import venv
from trove_upgrade.tests.unit import base


def settings(*lines):
    return venv.uv_settings(lines, exists=lambda path: path == '/wheels')


class UvSettingsTest(base.TestCase):
    def test_pips_indexes_become_uvs(self):
        found = settings(
            "global.index-url='https://index.example/simple'",
            "global.extra-index-url='https://a.example https://b.example'",
        )
        self.assertEqual('https://index.example/simple', found['UV_DEFAULT_INDEX'])
        self.assertEqual('https://a.example https://b.example', found['UV_INDEX'])

    def test_the_environment_wins_over_files(self):
        found = settings(
            "global.index-url='https://file.example'", ":env:.index-url='https://env.example'"
        )
        self.assertEqual('https://env.example', found['UV_DEFAULT_INDEX'])

    def test_a_local_index_that_is_not_there_is_left_out(self):
        found = settings(
            "global.extra-index-url='file:///gone/simple'",
            "global.find-links='/wheels'",
            "global.cert='/gone.pem'",
        )
        self.assertNotIn('UV_INDEX', found)
        self.assertEqual('/wheels', found['UV_FIND_LINKS'])
        self.assertNotIn('SSL_CERT_FILE', found)

    def test_a_machine_without_settings_uses_the_public_index(self):
        self.assertEqual({'UV_INDEX_STRATEGY': 'unsafe-best-match'}, settings())

    def test_the_time_out_is_whole_seconds(self):
        self.assertEqual('180', settings(":env:.default-timeout='180.0'")['UV_HTTP_TIMEOUT'])


class CloudVenvTest(base.TestCase):
    def test_other_pins_are_another_environment(self):
        one = venv.CloudVenv(venvs_dir=pathlib.Path('/v'), log=pathlib.Path('/log'), environ={})
        other = venv.CloudVenv(
            venvs_dir=pathlib.Path('/v'),
            log=pathlib.Path('/log'),
            environ={},
            pins=pathlib.Path(__file__),
        )
        self.assertNotEqual(one.path, other.path)
        self.assertFalse(one.ready)

    def test_every_pin_is_exact(self):
        for line in venv.pins_file().read_text().splitlines():
            if line and not line.startswith('#'):
                self.assertRegex(line, r'^[A-Za-z0-9._-]+==[^ ;]+$')

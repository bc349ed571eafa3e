# SPDX-License-Identifier: Apache-2.0
"""Our reader of option files beside the servers' own."""

import pathlib
import subprocess

import fixtures
from hypothesis import given, settings
from hypothesis import strategies as st

from trove_upgrade.guestagent.datastores.mysql_family import option_lines
from trove_upgrade.tests import base

_EXAMPLES = 300
_PIECES = [
    b'"',
    b"'",
    b'\\',
    b'#',
    b'=',
    b' ',
    b'a',
    b'n',
    b's',
    b';',
    b'\t',
    b'\xa0',
    b'\x85',
    b'\r',
    b'\xc3\xa0',
    b'\x0b',
    b'[',
    b']',
    b'!',
    b'\0',
]


class TestBesideMyPrintDefaults(base.TestCase):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'my.cnf')

    @settings(max_examples=_EXAMPLES, deadline=None)
    @given(
        st.one_of(
            st.lists(st.sampled_from(_PIECES), max_size=14).map(b''.join),
            st.integers(4085, 4100).map(lambda length: b'y' * length + b'z=1'),
        )
    )
    def test_every_value_is_read_alike(self, value):
        content = b'[mysqld]\nx=' + value + b'\n'
        self.path.write_bytes(content)

        ended = subprocess.run(
            ('my_print_defaults', f'--defaults-file={self.path}', 'mysqld'),
            capture_output=True,
            check=True,
        )

        settings_read = [
            line
            for _, line in option_lines.parse(content)
            if isinstance(line, option_lines.Setting)
        ]
        self.assertEqual(ended.stdout, b''.join(map(self.printed, settings_read)))

    @staticmethod
    def printed(setting):
        text = f'--{setting.name}' if setting.value is None else f'--{setting.name}={setting.value}'
        return text.encode('utf-8', 'surrogateescape') + b'\n'

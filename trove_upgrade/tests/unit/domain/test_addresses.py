# SPDX-License-Identifier: Apache-2.0
"""Addresses in sentences of guests, and the cost of looking for them and for all else in such
text.
"""

import resource
import subprocess
import sys
import textwrap

from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.domain import addresses
from trove_upgrade.tests.unit import base

_LABEL = st.from_regex(r'[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,4})?', fullmatch=True)
_PORT = st.integers(10, 65535)
_NAME = st.lists(_LABEL, min_size=1, max_size=3).map('.'.join)
_IPV4 = st.ip_addresses(v=4).map(str)
_END = st.sampled_from(['', ',', '.', ')', '!', '/x', "'"])
_ADDRESSES = st.one_of(
    st.tuples(
        _IPV4
        | st.builds(
            '{}:{}'.format, _IPV4 | _NAME | st.builds('{}_{}'.format, _LABEL, _LABEL), _PORT
        ),
        _END,
    ),
    st.tuples(st.ip_addresses(v=6).filter(lambda one: int(one) >> 64).map(str), _END),
    st.tuples(
        st.builds(
            '{}://{}/{}'.format,
            _LABEL,
            _NAME | _IPV4,
            st.from_regex(r'[a-z0-9.:/?=-]{0,8}', fullmatch=True),
        ),
        st.just(''),
    ),
)
_PLAIN = st.one_of(
    st.uuids().map(str),
    st.datetimes().map(lambda time: time.isoformat(timespec='seconds')),
    st.times().map(lambda time: f'{time:%H:%M:%S}'),
    _LABEL,
    st.sampled_from(
        [
            '10.11.14',
            '11.8.6-MariaDB',
            '8.0.36.1.2',
            'mariadb:10.11',
            'a::b',
            'std::x',
            '12:00:05:',
            '::',
            'x:1',
            '5%',
            '://',
        ]
    ),
)
_PIECES = st.lists(
    st.tuples(
        st.one_of(
            _ADDRESSES.map(lambda one: (''.join(one), addresses.HIDDEN + one[1])),
            _PLAIN.map(lambda text: (text, text)),
        ),
        st.sampled_from([' ', ' (', ' "', '\n', ' - ', ', ']),
    ),
    max_size=6,
)


class TestHidden(base.TestCase):
    @given(_PIECES)
    def test_of_a_sentence_addresses_alone_are_hidden(self, pieces):
        pieces = [
            (given_, hidden, ' ' + between) for (given_, hidden), between in pieces
        ]  # a URL ends at a space
        self.assertEqual(
            ''.join(hidden + between for _, hidden, between in pieces),
            addresses.hide(''.join(given_ + between for given_, _, between in pieces)),
        )

    def test_at_the_end_of_a_sentence_too(self):
        for address in (
            'controller:8779',
            '10.20.30.40',
            '10.20.30.40:5000',
            'fd00::3',
            'docker_registry:5000',
        ):
            self.assertEqual('It is at [address].', addresses.hide(f'It is at {address}.'))

    @given(st.text('a1f:./-_ \n', max_size=40))
    def test_nothing_else_is_changed(self, text):
        kept = addresses.hide(text).split(addresses.HIDDEN)
        at = 0
        for part in kept:
            self.assertIn(part, text[at:])
            at = text.index(part, at) + len(part)


#: What reads text of guests and tenants, over long texts of every form that makes a pattern go
#: back: each would take minutes by a pattern whose time grows with the square of the length.
_READ = textwrap.dedent("""
    from trove_upgrade.domain import addresses, notes, versions
    from trove_upgrade.guestagent.datastores.mysql_family import grants
    from trove_upgrade.rpc import guestagent

    pieces = ('a-', 'a.', '1.', 'a:', '1:', ':', '-', 'f', '_', ' ', 'a:50', '1.1.1.1', 'fd00:', \
'fd00::', '://', 'a:/', 'a+', '12:00:', 'v1',
              'mariadb-', 'GRANT a ON b ', 'GRANT a ON b TO ', ' TO ', ' REQUIRE a', \
' IDENTIFIED BY a', ' WITH a', 'File "', 'File "a", line 1')
    for piece in pieces:
        text = piece * (200_000 // len(piece)) + '!'
        for read in (addresses.hide, versions.read_number, grants.without_password, \
guestagent._FRAME.findall):
            read(text)
        grants.missing(['GRANT ' + text], [])
        notes.Notes.of({'warnings': [text], 'remarks': [text], 'settings_changed': [{'name': text, \
'before': text, 'after': text}]})
    print('all read')
""")
_CPU_SECONDS = 30


class TestCost(base.TestCase):
    def test_texts_that_make_patterns_go_back_are_read_within_a_bound_of_the_processor(self):
        done = subprocess.run(
            [sys.executable, '-c', _READ],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS)
            ),
        )
        self.assertEqual((0, 'all read\n'), (done.returncode, done.stdout), done.stderr)

# SPDX-License-Identifier: Apache-2.0
"""Our reader of option files beside the programs' own.

Where ours finds nothing unclear, it has read what they read; where a file is unclear, the first
check refuses it.
"""

import os
import pathlib
import re
import shutil
import subprocess

import fixtures
from hypothesis import given, settings
from hypothesis import strategies as st

from trove_upgrade.guestagent.datastores.mysql_family import (
    client_options,
    code_options,
    option_files,
    option_groups,
    option_lines,
)
from trove_upgrade.guestagent.datastores.mysql_family.packages import Packages
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
_BLANKS = st.sampled_from(['', '', ' ', '\t', ' \t', '\v', '\r', '\xa0'])
_GROUPS = [
    'mysqld',
    'mysqld',
    'MySQLd',
    'mysqld ',
    ' mysqld',
    'MYSQL',
    'mysqld_prod',
    'mysqld,x',
    'mysqld#',
    '#1#',
    '',
]
_NAMES = [
    'a.cnf',
    '.cnf',
    '.b.cnf',
    'c.d.cnf',
    'e..cnf',
    'f=1.cnf',
    'g:h,i;j.cnf',
    'm n.cnf',
    'o.CNF',
    'p.cnf~',
    'qcnf',
    'r.cnf.',
]
_OPTIONS = [
    '--port',
    'port',
    'Loose_Port',
    'skip-port',
    'enable_port',
    'disable-port',
    'maximum-port',
    'a b',
    '"q"',
]
_VALUES = [
    '',
    '=',
    '=1',
    ' = 2 # x',
    "='3 # y' # z",
    '="\\"4\\s\\\\"',
    "=5'",
    '=\\n\\t6',
    '=7;8',
    '=#',
    '="a"b"',
    '=/x,=/y',
]
_FAULTS = ['[mysqld', ' = 9', '!includes', '!include', 'x\0y=1']
_DIRECTORIES = (
    'one',
    'elsewhere/one',
    'home/one',
)  #: in the same form below each place that a path may count from


class OptionFilesTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.path = self.root / 'my.cnf'

    def printed_by_the_program(self, *groups, check=True):
        return subprocess.run(
            ('my_print_defaults', f'--defaults-file={self.path}', *groups),
            capture_output=True,
            check=check,
            cwd=self.root / 'elsewhere' if (self.root / 'elsewhere').exists() else '/',
            env={'PATH': '/usr/bin:/bin', 'HOME': str(self.root / 'home')},
        )


class TestBesideMyPrintDefaults(OptionFilesTest):
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

        lines = [line for _, line in option_lines.parse(content)]
        if any(isinstance(line, option_lines.Unclear) for line in lines):
            self.assertTrue(b'\0' in value or len(value) > 4085)
            return
        settings_read = [line for line in lines if isinstance(line, option_lines.Setting)]
        self.assertEqual(
            self.printed_by_the_program('mysqld').stdout, b''.join(map(self.printed, settings_read))
        )

    @staticmethod
    def printed(setting):
        text = f'--{setting.name}' if setting.value is None else f'--{setting.name}={setting.value}'
        return text.encode('utf-8', 'surrogateescape') + b'\n'


def _seldom(draw, usual, others):
    """One of `others` now and then."""
    return draw(st.sampled_from(others)) if draw(st.integers(0, 3)) == 0 else usual


@st.composite
def _sections(draw):
    """A group with its options."""
    group = (
        f'{draw(_BLANKS)}[{draw(st.sampled_from(_GROUPS))}]'
        f'{_seldom(draw, "", [" # x", "y", " [mysql]"])}'
    )
    options = [
        f'{draw(_BLANKS)}{draw(st.sampled_from(_OPTIONS))}{draw(st.sampled_from(_VALUES))}'
        for _ in range(draw(st.integers(1, 3)))
    ]
    return [
        group,
        *_seldom(draw, options, [['# x'], [';x', *options], [draw(st.sampled_from(_FAULTS))]]),
    ]


@st.composite
def _directives(draw):
    """A directive, as usual or with a fault."""
    word = draw(st.sampled_from(['include', 'includedir']))
    name = '' if word == 'includedir' else '/' + draw(st.sampled_from(_NAMES))
    path = (
        _seldom(
            draw,
            '@/one',
            [
                'one',
                'one',
                'one',
                './one',
                '~/one',
                '"@/one"',
                '@/none',
                '@/one/../one',
                '@//one',
                '@/~/one',
            ],
        )
        + name
    )
    tail = _seldom(draw, '', [' ', '\t', ' # x', 'X', '/'])
    gap = _seldom(draw, ' ', ['\t', '  \t', '\xa0', '\v', ''])
    return (
        f'{draw(_BLANKS)}!{draw(_BLANKS)}{_seldom(draw, word, ["INCLUDE", "includedirs"])}'
        f'{gap}{path}{tail}'
    )


@st.composite
def _tops(draw):
    """One directive, since we read each file once, with or without sections around it."""
    before, after = (draw(_sections()) if draw(st.booleans()) else [] for _ in range(2))
    return '\n'.join([*before, draw(_directives()), *after]) + _seldom(
        draw, '\n', ['', ' ', '\r\n']
    )


_FILES = st.dictionaries(
    st.sampled_from(_NAMES),
    st.tuples(
        st.one_of(st.just(['[mysqld]', 'file=1']), _sections()).map('\n'.join),
        st.sampled_from([0o644, 0o644, 0o644, 0o600, 0o666]),
    ),
    min_size=3,
    max_size=8,
)


class TestTreesBesideMyPrintDefaults(OptionFilesTest):
    @settings(max_examples=_EXAMPLES, deadline=None)
    @given(_tops(), _FILES)
    def test_what_is_not_refused_is_read_alike(self, top, files):
        self.new_tree(top, files)
        for group in ('mysqld', 'mysql'):
            ours = option_files.read(self.path)
            if ours.unread:
                return
            ended = self.printed_by_the_program(group, check=False)
            self.assertEqual(0, ended.returncode, (top, files, ended.stderr))
            found = ''.join(
                self.printed(option) for option in ours.options if option.group == group
            )
            self.assertEqual(self.canonical(ended.stdout), found, (top, files))

    def new_tree(self, top, files):
        for path in self.root.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for directory in _DIRECTORIES:
            (self.root / directory).mkdir(parents=True)
            for name, (content, mode) in files.items():
                path = self.root / directory / name
                path.write_bytes(content.encode('latin-1'))
                path.chmod(mode)
        self.path.write_bytes(top.replace('@', str(self.root)).encode('latin-1'))

    @staticmethod
    def canonical(output):
        lines = output.decode('utf-8', 'surrogateescape').split('\n--')
        joined = []
        for line in lines:
            name, equals, value = line.removeprefix('--').partition('=')
            name, ended, rest = name.partition('\n') if not equals else (name, '', '')
            joined.append(f'--{option_files.canonical(name)}{equals}{value}{ended}{rest}')
        return '\n'.join(joined) if output else ''

    @staticmethod
    def printed(option):
        text = f'--{option.name}' if option.value is None else f'--{option.name}={option.value}'
        return f'{text}\n'


_PREFIXES = st.lists(
    st.sampled_from(['loose-', 'skip_', 'enable-', 'disable-', 'maximum_']), max_size=2
).map(''.join)
_DANGEROUS = st.sampled_from(
    ['tee', 'named-commands', 'default-auth', 'plugin-dir', 'init-command', 'pager']
)


class TestBesideTheClient(OptionFilesTest):
    @settings(max_examples=_EXAMPLES, deadline=None)
    @given(
        st.sampled_from(['mysql', 'CLIENT', 'client-server', 'client-mariadb', 'mariadb-client']),
        _PREFIXES,
        _DANGEROUS,
        st.integers(1, 14),
        st.sampled_from([None, '', '0', '1', 'OFF', 'ON', 'x', '../x', '/tmp']),
    )
    def test_what_is_not_refused_leaves_the_client_as_it_is(
        self, group, prefixes, name, length, value
    ):
        line = f'{prefixes}{name[:length]}' + ('' if value is None else f'={value}')
        (self.root / 'elsewhere').mkdir(exist_ok=True)
        self.path.write_text(f'[{group}]\n{line}\n')
        options = option_files.read(self.path).options
        packages = Packages(self.root)
        refused = client_options.refused(options, option_groups.MARIADB)
        refused += code_options.refused(
            options, packages, self.root, 'mysql', option_groups.MARIADB
        )
        if not refused:
            self.assertEqual(
                self.variables('--no-defaults'),
                self.variables(f'--defaults-file={self.path}'),
                line,
            )
            self.assertEqual([], list((self.root / 'elsewhere').iterdir()), line)

    def variables(self, argument):
        """What the client would run with, of what it could be harmed by; a plain name of a plugin
        is none.
        """
        ended = subprocess.run(
            ('mariadb', argument, '--help'),
            capture_output=True,
            check=False,
            cwd=self.root / 'elsewhere',
        )
        table = ended.stdout.decode(errors='replace').rpartition('\nVariables (')[2]
        found = dict(re.findall(r'^(\S+) +(.*)$', table, re.MULTILINE))
        return {
            name: (found.get(name) or '').replace('(No default value)', '')
            for name in ('named-commands', 'plugin-dir', 'init-command')
        }


class TestBesideTheClients(base.TestCase):
    """Names of the programs' own options, and what they may be shortened to."""

    programs = (
        'mariadb',
        'mariadb-dump',
        'mariadb-check',
        'mariadb-upgrade',
        'mariadb-admin',
        'mariadb-binlog',
        'mariadb-slap',
    )
    #: They run, load or write what their value names, or let a line of input do so.
    dangerous = frozenset(
        {
            'default-auth',
            'dir',
            'execute',
            'init-command',
            'local-load',
            'log-error',
            'named-commands',
            'plugin-dir',
            'post-system',
            'pager',
            'pre-system',
            'result-file',
            'tab',
            'tee',
            'debug',
            'server-arg',
            'query',
            'pre-query',
            'post-query',
            'create',
        }
    )

    def test_no_name_on_the_list_is_the_beginning_of_a_dangerous_one(self):
        judged_by_value = {'plugin-dir', 'pager'}
        for program in self.programs:
            helped = subprocess.run(
                (program, '--no-defaults', '--help'), capture_output=True, check=False
            )
            names = set(re.findall(r'--([a-z][a-z0-9-]+)', helped.stdout.decode(errors='replace')))
            for name in names & self.dangerous - judged_by_value:
                others = names - {name}
                for length in range(1, len(name) + 1):
                    short = name[:length]
                    if short in others:  # a name of its own
                        continue
                    option = option_files.Option(
                        group='client', name=short, value='/srv/x', path=pathlib.Path('x'), line=1
                    )
                    refused = client_options.refused([option], option_groups.MARIADB)
                    self.assertEqual(1, len(refused), (program, short))

    def test_the_groups_of_the_server_are_those_that_it_names(self):
        server = subprocess.run(
            ('mariadbd', '--no-defaults', '--help', '--verbose'),
            capture_output=True,
            check=False,
            env=dict(os.environ, LC_ALL='C'),
        )
        line = re.search(
            r'The following groups are read: (.*)', server.stdout.decode(errors='replace')
        )
        version = subprocess.run(
            ('mariadbd', '--no-defaults', '--version'), capture_output=True, check=True
        ).stdout.decode()
        number = re.search(r'Ver (\S+)', version).group(1)
        self.assertEqual(set(line.group(1).split()), set(option_groups.MARIADB.of(number)))

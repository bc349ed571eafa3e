# SPDX-License-Identifier: Apache-2.0
"""What the reference pages promise is what the code does."""

import ast
import dataclasses
import functools
import json
import pathlib
import re
import shlex

import fixtures
from docutils import core
from oslo_config import cfg, generator

import trove_upgrade
from lab import console
from lab.layout import Layout
from trove_upgrade import conf as our_conf
from trove_upgrade.bridge.audit import Verdict
from trove_upgrade.bridge.report import model, remedies
from trove_upgrade.cmd import bridge, manage
from trove_upgrade.conf import compute, guestagent
from trove_upgrade.db import models
from trove_upgrade.domain import guests
from trove_upgrade.domain.actions import Action
from trove_upgrade.domain.bridge_runs import MemberState
from trove_upgrade.domain.compute import ServerStatus
from trove_upgrade.domain.inventory import Obstacle
from trove_upgrade.domain.pace import Stop, Wait
from trove_upgrade.domain.states import UpgradeState
from trove_upgrade.domain.verified import Outcome
from trove_upgrade.rpc import notifier
from trove_upgrade.schema_tools import lint
from trove_upgrade.tests.unit import base, database, stored
from trove_upgrade.tests.unit.domain import test_downtime
from troveupgradeclient.osc.v1.exit_status import ExitStatus

PACKAGE = pathlib.Path(trove_upgrade.__file__).parent
PROJECT = PACKAGE.parent
CLIENT = PROJECT / 'client' / 'troveupgradeclient'
DOCS = PROJECT / 'doc' / 'source'
REFERENCE = DOCS / 'reference'
ETC = PROJECT / 'etc' / 'trove-upgrade'

_CODE = re.compile(r'[A-Z][A-Z0-9_]{3,}')
_SHOUTED = re.compile(r'[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+')
_PRINTED = re.compile(r'\bERROR ([A-Z][A-Z0-9_]{3,}):')
#: What is called with a code among its arguments.
_TAKERS = {
    'StepRefused',
    'StepFailed',
    'CheckResult',
    'CallFailed',
    'GuestAnswer',
    'JobRecord',
    'refused',
    'unknown',
    'warning',
    'response',
    '_refused',
    '_failed',
    '_made_up',
    '_change',
}
#: Upper case, and no code of ours: environment variables, WSGI's keys, statuses of Trove and states
#: of upgrades.
_NOT_CODES = {
    'LC_ALL',
    'MARIADB_AUTO_UPGRADE',
    'MARIADB_ROOT_PASSWORD',
    'MYSQL_ROOT_PASSWORD',
    'QUERY_STRING',
    'SQL_MODE',
    'STANDARD_CONFORMING_STRINGS',
    'MYSQL_PWD',
    'PATH_INFO',
    'SCRIPT_NAME',
    'REQUEST_METHOD',
    'CONTENT_LENGTH',
    'CONTENT_TYPE',
    'HTTP_TRANSFER_ENCODING',
    'HTTP_CONTENT_ENCODING',
    'HTTP_X_IDENTITY_STATUS',
    'OS_TROVE_UPGRADE_CONFIG_FILES',
    'VERIFY_RESIZE',
    'RESTART_REQUIRED',
    'BUILDING_ERROR',
    'UPGRADING_ERROR',
    'ROLLED_BACK',
}
_NOT_CODES |= {*map(str, model.Outcome), *map(str, remedies.Remedy)}
#: Rules that a revision breaks, and words of SQL.
# standings and reasons in a table of the bridge's
_NOT_CODES |= {*map(str, Verdict), *map(str, Obstacle), *map(str, MemberState), *map(str, Outcome)}
_NOT_CODES |= {*map(str, Wait), *map(str, Stop)}
_NOT_CODES |= {rule.code for rule in lint.RULES} | {
    'AUTO_INCREMENT',
    'LOW_PRIORITY',
    'NO_EVENTLET_MONKEYPATCH',
    'TROVE_UPGRADE_LAB_RUN',
    'GENERATION_EXPRESSION',
    'CONSTRAINT_SCHEMA',
    'TABLE_SCHEMA',
    'REPLICA_SIDE_DISABLED',
    'SLAVESIDE_DISABLED',
    'FILE_NAME',
    'SEP_CHAR',
    'CHECK_CONSTRAINTS',
    'TABLE_CONSTRAINTS',
    'TABLE_NAME',
    'IS_VISIBLE',
    'DEFAULT_GENERATED',
    'ENCRYPTION_KEY_ID',
    'PAGE_COMPRESSED',
    'ROW_FORMAT',
}
#: A rule that a revision breaks, and an error of the same name.
_RULES_AND_ERRORS = {'DATA_CHANGED'}
#: Units of an event's interval, and a value of completion_type.
_NOT_CODES |= {
    'YEAR_MONTH',
    'DAY_HOUR',
    'DAY_MINUTE',
    'DAY_SECOND',
    'HOUR_MINUTE',
    'HOUR_SECOND',
    'MINUTE_SECOND',
    'NO_CHAIN',
}
#: Columns of information_schema.
_NOT_CODES |= {'UPDATE_TIME'}
#: Variables of a server's environment.
_NOT_CODES |= {
    'MYSQL_GROUP_SUFFIX',
    'MYSQL_HOME',
    'MARIADB_HOME',
    'VAULT_TOKEN',
    'AWS_SECRET_ACCESS_KEY',
    'KRB5_KTNAME',
    'LD_PRELOAD',
}
#: Statuses of a server in Nova.
_NOT_CODES |= {status.name for status in ServerStatus}
#: Exit statuses of the client, and variables of its environment.
_NOT_CODES |= {status.name for status in ExitStatus} | {
    'CLIFF_FIT_WIDTH',
    'CLIFF_MAX_TERM_WIDTH',
    'OS_AUTH_URL',
    'OS_CLOUD',
    'OS_DATABASE_UPGRADE_API_VERSION',
    'OS_USERNAME',
}
#: What an agent's answer without a code becomes: made of its state, so that no string holds it.
_COMPUTED = {f'GUEST_{state}' for state in (guests.JobState.REFUSED, guests.JobState.FAILED)}


@functools.cache
def product_trees():
    return [
        ast.parse(path.read_text())
        for package in (PACKAGE, CLIENT)
        for path in sorted(package.rglob('*.py'))
        if path.relative_to(package).parts[0] != 'tests'
    ]


def strings_in(node):
    return [
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]


def codes_in(node):
    return {text for text in strings_in(node) if _CODE.fullmatch(text)}


def name_of(node):
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, 'id', '')


def is_code_name(name):
    return name in {'code', 'CODE', 'error_code'} or name.startswith('CODE_')


def codes_of(tree):
    """Every stable code that a module gives out."""
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            found |= codes_of_assignment(node)
        elif isinstance(node, ast.ClassDef) and node.name in {'Reason', 'Code', 'NoteCode'}:
            found |= set().union(*(codes_in(part) for part in node.body))
        elif isinstance(node, ast.Call):
            given = [word.value for word in node.keywords if word.arg and is_code_name(word.arg)]
            if name_of(node.func) in _TAKERS:
                given += node.args
            for argument in given:
                found |= codes_in(argument) if not isinstance(argument, ast.Call) else set()
                value = constants.get(argument.id) if isinstance(argument, ast.Name) else None
                found |= {value} if value and _CODE.fullmatch(value) else set()
        elif isinstance(node, ast.JoinedStr):
            found |= {code for text in strings_in(node) for code in _PRINTED.findall(text)}
    return found


def codes_of_assignment(node):
    found = set()
    for target in node.targets:
        if isinstance(target, ast.Name) and is_code_name(target.id):
            found |= codes_in(node.value)
        elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            for name, value in zip(target.elts, node.value.elts, strict=False):
                found |= (
                    codes_in(value)
                    if isinstance(name, ast.Name) and is_code_name(name.id)
                    else set()
                )
    return found


@functools.cache
def codes_of_product():
    found = _COMPUTED.union(*(codes_of(tree) for tree in product_trees()))
    return found - ({rule.code for rule in lint.RULES} - _RULES_AND_ERRORS)


def first_cells(page):
    """The words in the first cell of every table's row."""
    cells = re.findall(r'^   \* - (.*)$', (REFERENCE / page).read_text(), re.MULTILINE)
    return [word for cell in cells for word in re.findall(r'``([^`]+)``', cell)]


def pages():
    return [
        (path.relative_to(PROJECT), path.read_text())
        for path in [*sorted(DOCS.rglob('*.rst')), PROJECT / 'README.rst']
    ]


def paths_of(tree, before=''):
    """The keys of nested objects, as dotted paths."""
    for key, value in tree.items():
        yield f'{before}{key}'
        if isinstance(value, dict):
            yield from paths_of(value, f'{before}{key}.')


def lab_parser():
    return console.build_parser(console.Lab(Layout.from_environ(), None, None))


class TestErrorCodes(base.TestCase):
    def documented(self):
        return first_cells('errors.rst')

    def test_every_code_of_the_product_is_explained(self):
        self.assertEqual([], sorted(codes_of_product() - set(self.documented())))

    def test_no_code_is_explained_that_nobody_gives_any_more(self):
        self.assertEqual([], sorted(set(self.documented()) - codes_of_product()))

    def test_each_is_explained_once(self):
        self.assertEqual(sorted(set(self.documented())), sorted(self.documented()))

    def test_whatever_looks_like_a_code_is_known_to_be_one_or_not(self):
        shouted = {
            text
            for tree in product_trees()
            for text in strings_in(tree)
            if _SHOUTED.fullmatch(text)
        }
        self.assertEqual([], sorted(shouted - codes_of_product() - _NOT_CODES))

    def test_pages_name_only_codes_that_exist(self):
        known = codes_of_product() | _NOT_CODES
        named = {
            (str(path), word)
            for path, text in pages()
            for word in re.findall(r'``([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)``', text)
        }
        self.assertEqual([], sorted(entry for entry in named if entry[1] not in known))


class TestFaultsOfTheBridge(base.TestCase):
    def test_the_table_has_each_code_that_a_fault_on_a_real_old_cloud_ends_with(self):
        [page] = [text for path, text in pages() if path.name == 'bridge-faults.rst']
        listed = set(re.findall(r'``([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)``', page))
        trees = [
            ast.parse(path.read_text())
            for path in (PACKAGE / 'tests' / 'old_cloud').glob('test_faults_*.py')
        ]
        ended = {text for tree in trees for text in strings_in(tree)} & codes_of_product()
        self.assertIn('REACH_REFUSED', ended)
        self.assertEqual([], sorted(ended - listed))


class TestNotifications(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())
        upgrades = self.db.repositories.upgrades
        held = upgrades.claim(self.db.begin().id, 'me', 60)
        whole = stored.adding(held.evolve(steps=test_downtime.runs()), **test_downtime.told())
        upgrades.end(whole, UpgradeState.COMPLETED)
        (self.payload,) = (
            event.payload for event in self.db.rows(models.upgrade_outbox) if event.kind == 'end'
        )
        self.page = (REFERENCE / 'notifications.rst').read_text()

    def test_the_fields_are_those_of_the_payload(self):
        fields = [
            word
            for word in first_cells('notifications.rst')
            if not word.startswith('trove.upgrade.')
        ]
        self.assertEqual(sorted(paths_of(self.payload)), sorted(fields))

    def test_the_example_has_all_of_them_and_no_other(self):
        block = self.page.split('.. code-block:: json')[1]
        self.assertEqual(sorted(paths_of(self.payload)), sorted(paths_of(json.loads(block))))

    def test_the_event_types_and_the_version_are_those_of_the_code(self):
        named = [
            word for word in first_cells('notifications.rst') if word.startswith('trove.upgrade.')
        ]
        self.assertEqual(sorted(notifier.EVENT_TYPES.values()), sorted(named))
        self.assertIn(f'Version {notifier.PAYLOAD_VERSION}. ', self.page)


class TestReadme(base.TestCase):
    def test_package_indexes_can_show_it(self):
        core.publish_doctree(
            (PROJECT / 'README.rst').read_text(),
            settings_overrides={'report_level': 2, 'halt_level': 2},
        )


class TestFailures(base.TestCase):
    """The page for an operator whose upgrade does not go on."""

    def setUp(self):
        super().setUp()
        self.page = (DOCS / 'admin' / 'failures.rst').read_text()

    def test_each_state_in_which_one_stands_still_or_has_failed_has_a_heading(self):
        headings = re.findall(r'^(.+)\n=+$', self.page, re.MULTILINE)
        for state in UpgradeState:
            if state not in {
                UpgradeState.PENDING,  # as one that runs
                UpgradeState.COMPLETED,
                UpgradeState.ROLLED_BACK,
            }:
                self.assertTrue([each for each in headings if state in each.split()], state)

    def test_each_action_is_named_with_the_command_of_the_client_and_of_the_tool(self):
        for action in Action:
            for tool in ('openstack database upgrade', 'trove-upgrade-manage upgrade'):
                self.assertIn(f'{tool} {action} UPGRADE_ID', self.page)


class TestOtherReferences(base.TestCase):
    def test_the_rpc_page_names_every_field_that_travels(self):
        page = (REFERENCE / 'rpc.rst').read_text()
        fields = {
            field.name
            for kind in (guests.GuestCall, guests.GuestAnswer, guests.Heartbeat)
            for field in dataclasses.fields(kind)
        }
        self.assertEqual([], sorted(name for name in fields if f'``{name}``' not in page))

    def test_the_database_page_names_every_table_and_every_command(self):
        named = first_cells('database.rst')
        self.assertEqual([], sorted(set(models.METADATA.tables) - set(named)))
        commands = sorted(manage.build_parser()[1].names())
        cut = sorted(
            re.split(r' [A-Z\[<-]', word)[0]
            for word in named
            if word.split(' ')[0] in {each.split(' ')[0] for each in commands}
        )
        self.assertEqual(commands, cut)

    def test_pages_name_only_commands_that_exist(self):
        known = {
            'trove-upgrade-manage': set(manage.build_parser()[1].names()),
            'trove-upgrade-bridge': set(bridge.build_parser()[1].names()),
            'trove-upgrade-lab': set(lab_parser()[1]),
        }
        wrong = []
        for path, text in pages():
            for tool, words in re.findall(
                r'(trove-upgrade-(?:manage|bridge|lab)) ((?:[a-z][a-z_-]* ?)+)', text
            ):
                if not any(
                    f'{words.strip()} '.startswith(f'{command} ') for command in known[tool]
                ):
                    wrong.append(f'{path}: {tool} {words}')
        self.assertEqual([], wrong)

    def test_commands_can_be_typed_as_pages_show_them(self):
        """Lines of examples; the table of commands in the database reference is checked by name."""
        shown = [
            line.strip()
            for _, text in pages()
            for line in text.replace('\\\n', ' ').splitlines()
            if re.match(r' +(?:\.venv/bin/)?trove-upgrade-(?:manage|bridge|lab) ', line)
            and 'COMMAND ...' not in line
        ]
        self.assertNotEqual([], shown)
        parsers = {
            'trove-upgrade-manage': manage.build_parser()[0],
            'trove-upgrade-bridge': bridge.build_parser()[0],
            'trove-upgrade-lab': lab_parser()[0],
        }
        for line in shown:
            tool, *words = shlex.split(line, comments=True)
            try:
                parsers[tool.rpartition('/')[2]].parse_args(words)
            except SystemExit:
                self.fail(f'cannot be typed: {line}')

    def test_pages_name_only_files_that_exist(self):
        named = {
            (str(path), word)
            for path, text in pages()
            for word in re.findall(
                r'``((?:etc/trove-upgrade|trove_upgrade|client|doc|releasenotes|tools|benchmarks|scenario)/[^`*]*)``',
                text,
            )
        }
        self.assertEqual([], sorted(entry for entry in named if not (PROJECT / entry[1]).exists()))

    def test_tables_have_headings(self):
        """A simple table whose first line begins with blanks has lost it: give its first column a
        name.
        """
        lost = [
            str(path)
            for path, text in pages()
            if re.search(r'^=+ +=[= ]*\n ', text, re.MULTILINE)
            or text.count('list-table::') != text.count(':header-rows: 1')
        ]
        self.assertEqual([], lost)

    def test_pages_name_only_targets_of_make_that_exist(self):
        targets = set(re.findall(r'^([a-z-]+):', (PROJECT / 'Makefile').read_text(), re.MULTILINE))
        named = {
            (str(path), word)
            for path, text in pages()
            for word in re.findall(r'(?:``|^    )make ([a-z-]+)', text, re.MULTILINE)
        }
        self.assertEqual([], sorted(entry for entry in named if entry[1] not in targets))

    def test_pages_name_only_options_that_exist(self):
        """A word in double backquotes that ends as our options do is one of them, or is listed here
        for what else it is.
        """
        options = {opt.dest for _, opts in our_conf.list_opts() for opt in opts} | {
            opt.dest for opt in guestagent.IDENTITY_OPTS
        }
        options |= {opt.dest for opt in compute.CREDENTIALS_OPTS}
        others = {'downtime_seconds', 'median_seconds', 'init_file'}
        others |= {'trove_upgrade_step_seconds', 'trove_upgrade_downtime_seconds'}  # figures
        others |= {'disable_by_file'}  # a backend of oslo.middleware's
        named = {
            (str(path), word)
            for path, text in pages()
            for word in re.findall(
                r'``(?:\[trove_upgrade\] )?([a-z]+(?:_[a-z]+)*_(?:timeout|seconds|hours|limit'
                r'|interval|file|bytes|size|topic|exchange|cap|microversion|topic_prefix))``',
                text,
            )
        }
        self.assertEqual([], sorted(entry for entry in named if entry[1] not in options | others))


class TestSamples(base.TestCase):
    def test_the_configuration_sample_says_what_the_code_says(self):
        """Ours alone: what the libraries say changes with their releases.  `make samples` makes it
        anew.
        """
        fresh = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'sample.conf')
        conf = cfg.ConfigOpts()
        generator.register_cli_opts(conf)
        conf(['--namespace', 'trove_upgrade', '--wrap-width', '100', '--output-file', str(fresh)])
        generator.generate(conf)
        sample = (ETC / 'trove-upgrade.conf.sample').read_text()
        for group in (our_conf.GROUP, compute.CREDENTIALS_GROUP):
            self.assertEqual(
                section(fresh.read_text(), group), section(sample, group), 'make samples'
            )


def section(text, name):
    return text.split(f'\n[{name}]\n')[1].split('\n[')[0].rstrip()

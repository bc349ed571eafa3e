# SPDX-License-Identifier: Apache-2.0
"""The tree is the architecture: who may import whom, and which names say nothing."""

import ast
import pathlib
import subprocess
import sys

import trove_upgrade
from trove_upgrade.tests.unit import base

PACKAGE = pathlib.Path(trove_upgrade.__file__).parent
LABORATORY = PACKAGE.parent / 'lab'
CLIENT = PACKAGE.parent / 'client' / 'troveupgradeclient'

#: folder or module (longest match wins) -> what of ours it may import, besides itself
ALLOWED = {
    'domain': set(),
    'conf': {'domain'},
    'sealing': {'domain'},
    'clock.py': set(),
    'waiting.py': set(),
    'db': {'clock', 'domain', 'conf', 'sealing'},
    'db/login.py': {'logins'},
    'logins.py': set(),
    'schema_tools': {'db'},
    'rpc': {'domain', 'conf', 'sealing'},
    'clients': {'domain', 'conf'},
    'bridge': {'clock', 'domain', 'sealing', 'waiting'},
    'taskmanager': {'domain', 'sealing'},
    'taskmanager/openings_left.py': {'domain', 'bridge'},
    'taskmanager/service.py': {'domain', 'conf', 'db', 'rpc'},
    'taskmanager/composition.py': {'domain', 'conf', 'sealing', 'db'},
    'taskmanager/outside.py': {'clock', 'domain', 'conf', 'db', 'rpc', 'clients'},
    'taskmanager/manager.py': {'domain', 'conf', 'sealing', 'db', 'rpc', 'clients'},
    'api': {'domain', 'conf', 'db', 'rpc'},
    'api/app.py': {'domain', 'conf', 'db', 'rpc', 'clients'},
    'guestagent': {'clock', 'waiting', 'domain', 'conf', 'rpc', 'sealing'},
    'guestagent/datastores/mysql_family/connection.py': {'domain', 'guestagent', 'logins'},
    'signals.py': set(),
    'terminal.py': {'domain'},
    'cmd': {
        'clock',
        'domain',
        'conf',
        'sealing',
        'db',
        'schema_tools',
        'rpc',
        'clients',
        'bridge',
        'taskmanager',
        'api',
        'guestagent',
        'wsgi',
        'signals',
        'terminal',
    },
    'wsgi': {'domain', 'conf', 'db', 'rpc', 'clients', 'api'},
}
#: The guest agent's rooms from the lowest to the highest; the modules beside them are above all.
GUEST_ROOMS = ('machine', 'storage', 'sealing', 'trove', 'datastores', 'upgrade', 'jobs')
MOST_ROOMS = 10
VAGUE = {'utils', 'util', 'helpers', 'helper', 'common', 'misc'}


def product_files():
    for path in sorted(PACKAGE.rglob('*.py')):
        relative = path.relative_to(PACKAGE)
        if relative.parts[0] not in {'tests', '__init__.py'}:
            yield path, relative


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f'{node.module}.{alias.name}' for alias in node.names]
        else:
            continue
        yield from names


def imports_of_ours(path):
    for name in imported(path):
        if name.startswith('trove_upgrade.'):
            yield name.split('.')[1]


def allowed_for(relative):
    text = relative.as_posix()
    matches = [key for key in ALLOWED if text == key or text.startswith(f'{key}/')]
    return ALLOWED[max(matches, key=len)] if matches else None


class TestImportRules(base.TestCase):
    def test_the_laboratory_uses_of_the_product_only_signals_text_and_waiting(
        self,
    ):
        found = {
            f'{path.relative_to(LABORATORY)} imports {name}'
            for path in sorted(LABORATORY.rglob('*.py'))
            for name in imports_of_ours(path)
            if name not in {'signals', 'terminal', 'waiting'}
        }
        self.assertEqual(set(), found)

    def test_one_module_knows_what_carries_the_servers_of_the_laboratory(self):
        known = (LABORATORY / 'hypervisor', LABORATORY / 'composition.py')
        tests = PACKAGE / 'tests/functional'
        folders = (LABORATORY, PACKAGE.parent / 'benchmarks', tests / 'cloud', tests / 'trove')
        found = [
            f'{path.relative_to(PACKAGE.parent)} imports {name}'
            for folder in folders
            for path in sorted(folder.rglob('*.py'))
            if not any(path.is_relative_to(place) for place in known)
            for name in imported(path)
            if name.startswith('lab.hypervisor')
        ]
        self.assertEqual([], found, 'ask the port in lab/servers.py')

    def test_what_runs_before_anything_is_installed_needs_the_standard_library_alone(self):
        script = (
            f'import sys; sys.path.insert(0, {str(LABORATORY.parent)!r})\n'
            'import lab.bare.__main__, lab.preflight'
        )
        done = subprocess.run(
            [sys.executable, '-I', '-S', '-c', script], capture_output=True, text=True, check=False
        )
        self.assertEqual((0, ''), (done.returncode, done.stderr))

    def test_the_product_works_without_the_laboratory(self):
        found = [
            str(relative)
            for path, relative in product_files()
            for name in imported(path)
            if name.split('.')[0] == 'lab'
        ]
        self.assertEqual([], found)

    def test_the_client_and_the_product_work_without_each_other(self):
        folders = {
            CLIENT: {'trove_upgrade', 'lab'},
            PACKAGE: {'troveupgradeclient'},
            LABORATORY: {'troveupgradeclient'},
        }
        found = [
            f'{path} imports {name}'
            for folder, foreign in folders.items()
            for path in sorted(folder.rglob('*.py'))
            for name in imported(path)
            if name.split('.')[0] in foreign and not path.is_relative_to(PACKAGE / 'tests')
        ]
        self.assertEqual([], found)

    def test_the_clients_python_api_works_without_its_commands(self):
        found = [
            f'{path.name} imports {name}'
            for path in sorted((CLIENT / 'v1').rglob('*.py'))
            for name in imported(path)
            if name.startswith(('troveupgradeclient.osc', 'cliff', 'osc_lib'))
        ]
        self.assertEqual([], found)

    def test_every_package_has_a_rule(self):
        self.assertEqual(
            [], [str(relative) for _, relative in product_files() if allowed_for(relative) is None]
        )

    def test_nobody_imports_what_the_architecture_forbids(self):
        broken = []
        for path, relative in product_files():
            allowed = (allowed_for(relative) or set()) | {relative.parts[0]}
            broken += [
                f'{relative} imports {name}'
                for name in imports_of_ours(path)
                if name not in allowed
            ]
        self.assertEqual([], broken)

    def test_the_guest_agent_has_few_rooms_and_no_import_runs_upwards_in_it(self):
        guestagent = PACKAGE / 'guestagent'
        rooms = {
            path.name.removesuffix('.py')
            for path in guestagent.iterdir()
            if path.name not in {'__init__.py', '__pycache__'}
        }
        self.assertLessEqual(len(rooms), MOST_ROOMS)
        self.assertLessEqual(set(GUEST_ROOMS), rooms)
        upwards = [
            f'{path.relative_to(guestagent)} imports {name}'
            for height, room in enumerate(GUEST_ROOMS)
            for path in sorted((guestagent / room).rglob('*.py'))
            for name in imported(path)
            if name.startswith('trove_upgrade.guestagent.')
            and name.split('.')[2] not in GUEST_ROOMS[: height + 1]
        ]
        self.assertEqual([], upwards)

    def test_no_name_says_nothing(self):
        self.assertEqual(
            [],
            [
                str(relative)
                for _, relative in product_files()
                if VAGUE & {part.removesuffix('.py') for part in relative.parts}
            ],
        )


class TestTestCases(base.TestCase):
    def test_every_test_case_keeps_its_output(self):
        """A test case of oslotest, testtools or unittest would print into the run of all tests."""
        foreign = ('oslotest', 'unittest')
        found = [
            str(path.relative_to(PACKAGE))
            for path in sorted((PACKAGE / 'tests').rglob('*.py'))
            for node in ast.walk(ast.parse(path.read_text()))
            if (isinstance(node, ast.ImportFrom) and (node.module or '').split('.')[0] in foreign)
            or (
                isinstance(node, ast.Import)
                and any(alias.name.split('.')[0] in foreign for alias in node.names)
            )
        ]
        self.assertEqual(['tests/base.py'], found, 'derive from trove_upgrade.tests.base.TestCase')

# SPDX-License-Identifier: Apache-2.0
"""Each program that we start is in a package that bindep.txt, or the recipe of the guest's
image, lists.
"""

import functools
import pathlib
import re
import subprocess

import fixtures

import trove_upgrade
from lab import packages as lab_packages
from lab.containers import recipes as container_recipes
from lab.images import recipes
from tools.bundle import recipe as bundle_recipe
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.programs import argv, packages, shell, source

ROOT = pathlib.Path(trove_upgrade.__file__).resolve().parents[1]
_UNKNOWN = (
    '{place} starts {name}, which no table has. Where it is a program, add it to _OF in '
    'trove_upgrade/tests/unit/programs/packages.py, below the Debian package that has it '
    '(dpkg -S, apt-file); where it is only a word, to NO_PROGRAM there.'
)
_MISSING = (
    '{place} starts {name}, which is in the package {package}: add the line '
    '"{package} [platform:dpkg lab]" to bindep.txt, or start what a listed package has.'
)
_NOT_IN_GUEST = (
    '{place} starts {name} in a guest; it is in the package {package}, which no recipe in '
    'lab/images/recipes.py has. Add it there and to doc/source/admin/images.rst, '
    'or do without the program.'
)
#: File and function of each call that starts what its callers spell out.
_UNSPELLED = frozenset(
    {
        'tools/testrun/children.py start',
        'trove_upgrade/guestagent/machine/commands.py run',
        'trove_upgrade/guestagent/datastores/mysql_family/programs.py run',
        'lab/commands.py follow',
        'lab/commands.py run',
        'lab/preflight.py _succeeds',
        'lab/supervisor.py start',
        'trove_upgrade/tests/functional/cloud/trove_api.py __init__',
        'trove_upgrade/tests/functional/host/databases.py start',
        'trove_upgrade/tests/functional/host/databases.py run_as_user',
        'trove_upgrade/tests/functional/host/openstack_client.py run_program',
        'trove_upgrade/tests/functional/host/test_guest_volume.py _succeeds',
        'trove_upgrade/tests/functional/host/test_opening.py run_program',
    }
)
_IS_PYTHON = re.compile(rb'#!.*\bpython3?\b')
_IN_GUESTS = (
    'trove_upgrade/guestagent/',
    'etc/trove-upgrade/guest/',
    'lab/images/files/',
    'lab/images/old_files/',
    'lab/images/stock_files/',
)
_IN_CONTAINERS = 'lab/containers/files/'
_IN_ROOT_OF_BUNDLE = 'tools/bundle/files/compile-python'


@functools.cache
def in_python():
    return [
        source.Source(path, path.relative_to(ROOT))
        for folder in ('trove_upgrade', 'lab', 'tools', 'benchmarks', 'scenario', 'doc')
        for path in sorted((ROOT / folder).rglob('*'))
        if path.is_file() and (path.suffix == '.py' or _IS_PYTHON.match(path.read_bytes()[:40]))
    ]


def in_scripts():
    functions = '\n'.join(one.read_text() for one in (ROOT / 'lab').rglob('*.sh'))
    for folder in ('trove_upgrade', 'lab', 'tools', 'etc', '.ci'):
        for path in sorted(
            path for path in (ROOT / folder).rglob('*') if path.is_file() and path.suffix != '.py'
        ):
            relative = path.relative_to(ROOT)
            first = path.read_bytes()[:40].split(b'\n')[0]
            if path.suffix == '.sh' or re.match(rb'#!.*\b(ba|da)?sh\b', first):
                names = shell.programs(path.read_text(), functions)
            elif path.suffix in {'.service', '.conf'}:
                found = re.findall(r'^Exec\w+=[-+@:!]*(.*)', path.read_text(), re.MULTILINE)
                names = {
                    name for line in found for name in argv.programs(line.split(), shell.programs)
                }
            else:
                continue
            yield from (source.Found(name, str(relative), False) for name in sorted(names))


def in_makefile():
    text = (ROOT / 'Makefile').read_text()
    recipes_of = '\n'.join(
        line[1:].lstrip('@-')
        for line in text.replace('\\\n\t', ' ').splitlines()
        if line.startswith('\t')
    )
    plain = re.sub(
        r'\$\((BIN|VENV)\)', '/venv', re.sub(r'\$\(if [^()]*(\([^()]*\)[^()]*)*\)', '', recipes_of)
    ).replace('$$', '$')
    plain = re.sub(
        r'\$\(([A-Z_]+)\)', lambda found: 'python3' if found[1] == 'PYTHON' else 'X', plain
    )
    yield from (source.Found(name, 'Makefile', False) for name in sorted(shell.programs(plain)))


@functools.cache
def everything():
    in_files = [
        found
        for one in in_python()
        for found in one.programs()
        if found.name not in packages.NO_PROGRAM
    ]
    return [*in_files, *in_scripts(), *in_makefile()]


def is_in_a_guest(found):
    return found.inside or found.place.startswith(_IN_GUESTS)


class TestPrograms(base.TestCase):
    def setUp(self):
        super().setUp()
        self.found = everything()
        bindep = (ROOT / 'bindep.txt').read_text()
        self.listed = {
            name for profile in ('lab', 'bare') for name in lab_packages.wanted(bindep, profile)
        }
        self.of_guests = {
            name
            for recipe in (
                recipes.BOOKWORM.with_systemd(),
                recipes.TROVE_BOOKWORM,
                recipes.OLD_BULLSEYE.with_systemd(),
            )
            for name in recipe.packages
        }

    def known(self, wanted):
        """Those of Debian's packages, at the places that `wanted` is true for."""
        return [one for one in self.found if wanted(one) and one.name in packages.PACKAGE]

    def test_each_program_is_known(self):
        known = {*packages.PACKAGE, *packages.OF_ENVIRONMENT}
        self.assertEqual(
            [],
            [
                _UNKNOWN.format(place=one.place, name=one.name)
                for one in self.found
                if one.name not in known
            ],
        )

    def test_nothing_is_known_that_is_not_started(self):
        started = {one.name for one in self.found}
        self.assertEqual(
            set(),
            {*packages.PACKAGE, *packages.OF_ENVIRONMENT} - started,
            'take these out of the tables of packages.py',
        )

    def test_what_the_host_starts_is_in_a_package_of_bindep(self):
        on_host = self.known(
            lambda one: (
                not is_in_a_guest(one)
                and not one.place.startswith((_IN_CONTAINERS, _IN_ROOT_OF_BUNDLE))
            )
        )
        have = self.listed | packages.BEFORE_MAKE
        self.assertEqual(
            [],
            [
                _MISSING.format(place=one.place, name=one.name, package=packages.PACKAGE[one.name])
                for one in on_host
                if one.name not in packages.IF_PRESENT and not packages.has(have, one.name)
            ],
        )

    def test_what_a_guest_starts_is_in_a_package_of_its_recipe(self):
        self.assertEqual(
            [],
            [
                _NOT_IN_GUEST.format(
                    place=one.place, name=one.name, package=packages.PACKAGE[one.name]
                )
                for one in self.known(is_in_a_guest)
                if not packages.has(self.of_guests, one.name)
            ],
        )

    def test_what_a_container_starts_is_in_a_package_of_its_recipe(self):
        have = set(container_recipes.MARIADB_10_11.packages)
        inside = self.known(lambda one: one.place.startswith(_IN_CONTAINERS))
        self.assertEqual(
            [], [f'{one.place}: {one.name}' for one in inside if not packages.has(have, one.name)]
        )
        self.assertTrue(inside)

    def test_what_compiles_python_starts_is_in_a_package_of_its_root(self):
        have = {*bundle_recipe.BULLSEYE.packages, 'make'}  # which build-essential brings
        inside = self.known(lambda one: one.place == _IN_ROOT_OF_BUNDLE)
        self.assertEqual([], [one.name for one in inside if not packages.has(have, one.name)])
        self.assertTrue(inside)

    def test_the_page_about_images_names_the_packages_that_a_guest_needs(self):
        page = (ROOT / 'doc/source/admin/images.rst').read_text()
        ours = self.known(lambda one: one.place.startswith(_IN_GUESTS[:2]))
        needed = {packages.PACKAGE[one.name] for one in ours} - packages.EVERYWHERE
        self.assertEqual(
            set(),
            {name for name in needed if f'``{name}``' not in page},
            'name these packages in doc/source/admin/images.rst',
        )

    def test_programs_of_the_environments_are_pinned(self):
        pinned = '\n'.join(
            path.read_text()
            for path in (ROOT / 'constraints.txt', *sorted((ROOT / 'constraints').glob('*.txt')))
        ).lower()
        self.assertEqual(
            [], [name for name in packages.OF_ENVIRONMENT.values() if f'\n{name}==' not in pinned]
        )

    def test_no_program_is_started_where_it_cannot_be_read(self):
        self.assertEqual(
            [],
            [place for found in in_python() for place in found.unreadable()],
            'import subprocess by its name, and give it a list of words',
        )

    def test_each_call_that_starts_a_program_is_looked_at(self):
        unspelled = {one for found in in_python() for one in found.unspelled()}
        self.assertEqual(
            _UNSPELLED,
            unspelled,
            'spell out the words of the command, or add the function to _UNSPELLED, '
            'and its name to FORWARDERS in source.py, so that its callers are looked at',
        )
        self.assertEqual(set(), {one.split()[1] for one in unspelled} - source.FORWARDERS)


class TestThePackagesOfThisMachine(base.TestCase):
    """The tables are true for what is installed; other packages are not asked for."""

    def test_an_installed_package_has_its_programs(self):
        wrong = []
        for name in sorted(set(packages.PACKAGE.values())):
            listing = self.files_of(name)
            if listing:
                files = {
                    pathlib.PurePosixPath(line).name
                    for line in listing.splitlines()
                    if re.search(r'/s?bin/[^/]+$', line)
                }
                wrong += [
                    f'{name} has no {program}'
                    for program, package in packages.PACKAGE.items()
                    if package == name and packages.ALTERNATIVES.get(program, program) not in files
                ]
        self.assertEqual([], wrong)

    def files_of(self, name):
        installed = (
            sorted(pathlib.Path('/var/lib/dpkg/info').glob('postgresql-[0-9]*.list'))
            if name == 'postgresql'
            else []
        )
        names = [path.stem for path in installed] or [name]
        done = subprocess.run(['dpkg', '--listfiles', *names], capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else ''


_HIDDEN = """
import subprocess
from subprocess import check_output

def of_any_name(path, commands):
    cmd = ['jq', path]
    subprocess.run(cmd)
    tool = ('fdisk', path)
    commands.run(tool)

def of_either_branch(which):
    subprocess.run(['xmllint' if which else 'yq', 'a'])
    tool = 'lsof' if which else 'gawk'
    subprocess.run([tool, '-a'])
    subprocess.run('gawk x', shell=True)
"""


class TestReadingPython(base.TestCase):
    def test_commands_are_found_whatever_they_are_called_and_strings_are_refused(self):
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path) / 'hidden.py'
        path.write_text(_HIDDEN)
        found = source.Source(path, 'hidden.py')
        self.assertEqual(
            {'jq', 'fdisk', 'xmllint', 'yq', 'lsof', 'gawk'}, {one.name for one in found.programs()}
        )
        self.assertEqual(['hidden.py:3', 'hidden.py:15'], list(found.unreadable()))
        self.assertEqual(['hidden.py of_either_branch'], list(found.unspelled()))


class TestReadingShell(base.TestCase):
    def test_commands_are_found_wherever_they_stand(self):
        script = """
            # don't read comments; nor this: foo
            first -x "$(second "$(third a)" | fourth)" && ! fifth || { sixth; }   # it's over
            if [ -e x ]; then VAR=1 seventh; fi
            case "$x" in a|b) eighth ;; *) exec ninth ;; esac
            trap 'tenth "$d"' EXIT
            sh -c 'eleventh; twelfth'
            setpriv --reuid=1 -- thirteenth <<END
            not_this one
END
            own() { fourteenth `fifteenth`; }
            own > file 2>&1; cat < <(sixteenth)
            for x in $(seventeenth); do eighteenth; done; (( count++ ))
            unshare --propagation private nineteenth
        """
        words = (
            'first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth '
            'thirteenth fourteenth fifteenth sixteenth '
            'seventeenth eighteenth nineteenth cat sh setpriv unshare'
        )
        self.assertEqual(set(words.split()), shell.programs(script))

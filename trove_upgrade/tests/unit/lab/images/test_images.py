# SPDX-License-Identifier: Apache-2.0
import dataclasses
import importlib.machinery
import importlib.util
import pathlib
import subprocess
import sys
import tempfile

from lab import errors, images
from lab.bridge import old_guests
from lab.commands import HostCommands
from lab.hypervisor import nova_facts
from lab.images import apt, environments, layers, old_agent, oldest, provision, recipes, stock
from lab.images.builder import BuiltImage
from lab.images.counting import PackageCount
from lab.images.product import ProductFiles
from trove_upgrade.rpc import transport
from trove_upgrade.tests.unit import base, test_architecture
from trove_upgrade.tests.unit.lab import fakes

FILES = pathlib.Path(images.__file__).parent / 'files'
GUEST = old_guests.OldGuest(
    instance_id='i1',
    project_id='p1',
    transport_url='rabbit://trove:p%20w@10.0.0.1:5672/vhost',
    authorized_key='ssh-ed25519 AAAA',
    heartbeat_seconds=3,
)
HELP = """mariadbd  Ver 10.11.18-MariaDB for debian-linux-gnu on x86_64 (Debian 12)
Usage: mariadbd [OPTIONS]

Default options are read from the following files in the given order:
/etc/my.cnf /etc/mysql/my.cnf ~/.my.cnf
The following groups are read: mysqld server mysqld-10.11 mariadb mariadb-10.11
The following options may be given as the first argument:
--no-defaults             Don't read default options from any option file.

  -a, --ansi          Use ANSI SQL syntax instead of MySQL syntax.
  --alter-algorithm[=name]
                      Specify the alter table algorithm, not --like-this.
  --max-connections=# The number of simultaneous clients allowed

Variables (--variable-name=value)
and boolean options {FALSE|TRUE}                             Value (after reading options)
------------------------------------------------------------ -------------
ansi                                                         FALSE
max-connections                                              151
plugin-dir                                                   /usr/lib/mysql/plugin/
init-connect

To see what variables a running server is using, type
"""


def load_script(name, folder=FILES):
    """A script of the image as a module; it has no suffix, because it is a program."""
    loader = importlib.machinery.SourceFileLoader(name.replace('-', '_'), str(folder / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


class RecordFactsTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.options, self.groups, self.variables = load_script('record-facts').parse_help(HELP)

    def test_options_are_those_of_the_table_and_those_of_the_text_with_underscores(self):
        self.assertEqual(
            [
                'alter_algorithm',
                'ansi',
                'init_connect',
                'max_connections',
                'no_defaults',
                'plugin_dir',
            ],
            self.options,
        )

    def test_what_a_description_mentions_is_no_option(self):
        self.assertNotIn('like_this', self.options)

    def test_groups_keep_their_versions(self):
        self.assertEqual(
            ['mysqld', 'server', 'mysqld-10.11', 'mariadb', 'mariadb-10.11'], self.groups
        )

    def test_variables_have_their_values_and_end_with_the_table(self):
        self.assertEqual(
            {
                'ansi': 'FALSE',
                'max_connections': '151',
                'plugin_dir': '/usr/lib/mysql/plugin/',
                'init_connect': '',
            },
            self.variables,
        )


class AgentFactsTest(base.TestCase):
    """The interpreter of the tests stands in for the one of the agent's environment: both have the
    package.
    """

    def test_the_version_of_the_calls_is_what_the_agents_own_code_has(self):
        facts = load_script('record-facts').agent_facts('1.0+bookworm', sys.executable)
        self.assertEqual(
            {'agent_version': '1.0+bookworm', 'guest_rpc': transport.GUEST_VERSION}, facts
        )

    def test_an_image_without_an_agent_has_no_such_fact(self):
        self.assertEqual(
            {'agent_version': None}, load_script('record-facts').agent_facts('', '/nowhere/python')
        )

    def test_an_agent_that_cannot_be_asked_makes_no_image(self):
        self.assertRaises(
            subprocess.CalledProcessError,
            load_script('record-facts').agent_facts,
            '1.0',
            '/bin/false',
        )


class AptTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.commands = fakes.Commands()

    def test_the_mirror_is_the_host_s_own_and_not_the_one_for_updates(self):
        self.commands.answer(
            'apt-get indextargets',
            'http://other/x Other stable main\nhttp://mirror/debian-security Debian '
            'bookworm-security main\n'
            'http://mirror/debian Debian bookworm main\n',
        )

        self.assertEqual('http://mirror/debian', apt.host_mirror(self.commands))

    def test_a_host_without_a_debian_mirror_is_told_so(self):
        self.commands.answer('apt-get indextargets', 'http://other/ubuntu Ubuntu noble main\n')

        error = self.assertRaises(errors.ImageBuildFailed, apt.host_mirror, self.commands)

        self.assertIn('sources.list', str(error))

    def test_settings_that_reach_the_mirror_are_taken_over_and_no_others(self):
        self.commands.answer(
            'apt-config dump',
            'APT::Architecture "amd64";\nAcquire::Check-Date "false";\nAcquire::http::Proxy '
            '"http://proxy";\n'
            'Acquire::Languages "none";\n',
        )

        self.assertEqual(
            ['Acquire::Check-Date "false"', 'Acquire::http::Proxy "http://proxy"'],
            apt.host_options(self.commands),
        )


class PackageCountTest(base.TestCase):
    def test_it_tells_now_and_then_how_many_of_how_many_packages_are_set_up(self):
        told = []
        count = PackageCount('image', told.append)

        count.line('0 upgraded, 30 newly installed, 0 to remove and 0 not upgraded.')
        for number in range(30):
            count.line(f'Setting up package-{number} (1.0) ...')
        count.line('0 upgraded, 12 newly installed, 0 to remove and 0 not upgraded.')
        for number in range(12):
            count.line(f'Setting up other-{number} (1.0) ...')

        self.assertEqual(['image, 20 of 30 packages', 'image, 40 of 42 packages'], told)

    def test_it_tells_what_is_fetched_and_does_not_count_lists_of_packages(self):
        told = []
        count = PackageCount('image', told.append)

        count.line('Get:1 http://mirror/debian bookworm InRelease [151 kB]')
        count.line('0 upgraded, 30 newly installed, 0 to remove and 0 not upgraded.')
        for number in range(20):
            count.line(f'Get:{number} http://mirror/debian bookworm/main amd64 package-{number}')

        self.assertEqual(['image, 20 packages fetched'], told)


class RecipeTest(base.TestCase):
    def test_variants_have_names_of_their_own(self):
        variants = [
            recipes.TRIXIE,
            recipes.TRIXIE.without_agent(),
            recipes.TRIXIE.with_systemd(),
            recipes.BOOKWORM,
        ]

        self.assertEqual(4, len({variant.name for variant in variants}))

    def test_the_variant_with_systemd_has_cloud_init_and_the_other_none(self):
        self.assertIn('cloud-init', recipes.TRIXIE.with_systemd().packages)
        self.assertNotIn('cloud-init', recipes.TRIXIE.packages)

    def test_an_old_image_has_neither_cloud_init_nor_an_agent_of_ours(self):
        for recipe in (recipes.OLD_BULLSEYE, recipes.OLD_BULLSEYE.with_systemd()):
            self.assertTrue(recipe.is_old)
            self.assertFalse(recipe.has_agent)
            self.assertNotIn('cloud-init', recipe.packages)

    def test_a_stock_image_has_ssh_and_no_agent_of_ours(self):
        recipe = recipes.TROVE_BOOKWORM.stock()

        self.assertEqual(
            ('trove-bookworm-stock', False, True),
            (recipe.name, recipe.has_agent, recipe.runs_containers),
        )
        self.assertIn('openssh-server', recipe.packages)

    def test_preloaded_container_images_make_another_image_and_go_into_a_store_of_their_own(self):
        recipe = recipes.TROVE_TRIXIE.with_preloaded(pathlib.Path('/cache/mariadb.tar'))

        self.assertEqual(('trove-trixie-preloaded', True), (recipe.name, recipe.runs_containers))
        self.assertEqual((), recipes.TROVE_TRIXIE.preloaded)

    def test_an_image_with_a_container_engine_tells_the_hypervisor_so(self):
        plain = BuiltImage(
            name='a', path=pathlib.Path('/a'), facts={}, digest='digest', init='tini'
        )
        engine = dataclasses.replace(plain, runs_containers=True)

        self.assertEqual({'lab_rootfs': 'squashfs', 'lab_init': 'tini'}, plain.properties)
        self.assertTrue(
            nova_facts.runs_containers(
                {f'image_{name}': value for name, value in engine.properties.items()}
            )
        )
        self.assertTrue(
            nova_facts.wants_raw_volume(
                {f'image_{name}': value for name, value in engine.properties.items()}
            )
        )


class EnvironmentTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.project = pathlib.Path(images.__file__).parents[2]
        self.layer = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_trove_s_agent_has_an_environment_and_a_launcher_of_its_own(self):
        commands = fakes.Commands()

        environments.troves(self.project).write(self.layer, '3.13', commands)

        [pip] = commands.ran
        self.assertIn('--python-version 3.13 --only-binary=:all:', pip)
        self.assertIn('constraints/cloud.txt', pip)
        launcher = self.layer / 'opt/guest-agent-venv/bin/trove-guestagent'
        self.assertIn('from trove.cmd.guest import main', launcher.read_text())
        self.assertTrue(launcher.stat().st_mode & 0o111)

    def test_each_agent_and_each_python_have_a_layer_of_their_own(self):
        keys = {
            environment.key(python)
            for environment in (environments.ours(self.project), environments.troves(self.project))
            for python in ('3.11', '3.13')
        }

        self.assertEqual(4, len(keys))


class RuncTest(base.TestCase):
    def test_a_process_asks_for_no_capability_that_the_host_has_not(self):
        narrow = load_script('runc-within-bounds').narrow
        process = {
            'capabilities': {
                'bounding': ['CAP_CHOWN', 'CAP_SYS_RESOURCE'],
                'effective': ['CAP_CHOWN'],
            }
        }

        self.assertTrue(narrow(process, {'CAP_CHOWN'}))
        self.assertEqual(
            {'bounding': ['CAP_CHOWN'], 'effective': ['CAP_CHOWN']}, process['capabilities']
        )
        self.assertFalse(narrow(process, {'CAP_CHOWN'}))
        self.assertFalse(narrow({}, set()))


class DigestTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.tree = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (self.tree / 'a').write_text('one')

    def test_the_same_tree_has_the_same_digest_whatever_python_has_cached(self):
        before = layers.digest_of_tree(self.tree)
        (self.tree / '__pycache__').mkdir()
        (self.tree / '__pycache__' / 'a.pyc').write_text('x')

        self.assertEqual(before, layers.digest_of_tree(self.tree))

    def test_content_name_and_mode_each_change_the_digest(self):
        digests = {layers.digest_of_tree(self.tree)}
        (self.tree / 'a').write_text('two')
        digests.add(layers.digest_of_tree(self.tree))
        (self.tree / 'a').chmod(0o755)
        digests.add(layers.digest_of_tree(self.tree))
        (self.tree / 'a').rename(self.tree / 'b')
        digests.add(layers.digest_of_tree(self.tree))

        self.assertEqual(4, len(digests))

    def test_parts_do_not_run_together(self):
        self.assertNotEqual(layers.digest_of('ab', 'c'), layers.digest_of('a', 'bc'))


class ProductFilesTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.project = pathlib.Path(images.__file__).parents[2]
        self.layer = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.product = ProductFiles(self.project, FILES, '9.9.9', HostCommands())
        self.packages = pathlib.Path('opt/trove-upgrade/venv/lib/python3.13/site-packages')

    def test_an_image_has_the_agent_and_both_kinds_of_service(self):
        self.product.write(self.layer, self.packages, has_agent=True)

        for path in (
            'etc/init.d/trove-upgrade-guestagent',
            'etc/init.d/trove-upgrade-database',
            'usr/lib/trove-upgrade/database-run',
            'usr/lib/systemd/system/trove-upgrade-database.service',
            'opt/trove-upgrade/venv/bin/trove-upgrade-guestagent',
            'opt/trove-upgrade/venv/lib/python3.13/site-packages/trove_upgrade/guestagent/__init__.py',
        ):
            self.assertTrue((self.layer / path).is_file(), path)
        self.assertTrue((self.layer / 'usr/lib/trove-upgrade/database-run').stat().st_mode & 0o111)

    def test_the_agent_says_the_version_of_the_checkout(self):
        self.product.write(self.layer, self.packages, has_agent=True)

        [metadata] = (self.layer / self.packages).glob('trove_upgrade_guest-*.dist-info/METADATA')
        self.assertIn('Version: 9.9.9\n', metadata.read_text())

    def test_the_agent_that_is_installed_knows_its_version(self):
        self.product.write(self.layer, self.packages, has_agent=True)
        asked = (
            'from trove_upgrade.guestagent.upgrade import composition as found; '
            'print(found.__file__, found.version())'
        )

        done = subprocess.run(
            [sys.executable, '-c', asked],
            env={'PYTHONPATH': str(self.layer / self.packages)},
            cwd=self.layer,
            capture_output=True,
            check=True,
            text=True,
        )

        place, version = done.stdout.split()
        self.assertTrue(place.startswith(str(self.layer)), place)
        self.assertEqual('9.9.9', version)

    def test_nothing_of_the_control_plane_is_in_an_image_and_the_agent_imports_none_of_it(self):
        self.product.write(self.layer, self.packages, has_agent=True)

        package = self.layer / self.packages / 'trove_upgrade'
        self.assertEqual(
            {'cmd', 'conf', 'domain', 'guestagent', 'rpc', 'sealing'},
            {path.name for path in package.iterdir() if path.is_dir()},
        )
        here = {path.relative_to(package).as_posix() for path in package.rglob('*.py')}
        for path in sorted((package / 'guestagent').rglob('*.py')):
            for name in test_architecture.imported(path):
                if name.startswith('trove_upgrade.'):
                    parts = name.split('.')[1:]
                    found = ('/'.join(parts[:depth]) for depth in range(len(parts), 0, -1))
                    self.assertTrue(
                        any({f'{one}.py', f'{one}/__init__.py'} & here for one in found), name
                    )

    def test_what_the_agent_requires_is_pinned_with_the_product_and_asked_for_by_both(self):
        def names(file):
            lines = (self.project / file).read_text().splitlines()
            return {line for line in lines if line and not line.startswith('#')}

        self.assertLessEqual(names('guest/requirements.txt'), names('requirements.txt'))

    def test_files_that_operators_copy_are_those_of_the_checkout(self):
        self.product.write(self.layer, self.packages, has_agent=True)

        copied = self.layer / 'opt/trove-upgrade/venv/etc/trove-upgrade/guest'
        source = self.project / 'etc/trove-upgrade/guest'
        self.assertEqual(layers.digest_of_tree(source), layers.digest_of_tree(copied))

    def test_an_image_without_agent_still_has_the_database_service(self):
        self.product.write(self.layer, self.packages, has_agent=False)

        self.assertTrue((self.layer / 'etc/init.d/trove-upgrade-database').is_file())
        self.assertEqual([], list(self.layer.rglob('*guestagent*')))


class OldAgentFilesTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.layer = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.files = old_agent.OldAgentFiles(FILES, 'python2.7')

    def test_nothing_of_the_product_is_in_it(self):
        self.files.write(self.layer, pathlib.Path('unused'), has_agent=False)

        written = {path.name for path in self.layer.rglob('*') if path.is_file()}
        self.assertIn('trove-guestagent', written)
        self.assertIn('trove-lab-init', written)
        self.assertEqual([], [name for name in written if 'trove-upgrade' in name])

    def test_it_cannot_have_our_agent(self):
        self.assertRaises(
            ValueError, self.files.write, self.layer, pathlib.Path('unused'), has_agent=True
        )

    def test_another_python_makes_another_image(self):
        other = old_agent.OldAgentFiles(FILES, 'python3')
        self.assertNotEqual(self.files.digest(False), other.digest(False))

    def test_the_agent_reads_the_options_of_all_its_files(self):
        for name, content in old_guests.injected_files(GUEST).items():
            target = self.layer / pathlib.Path(name).name
            target.write_bytes(content)
        agent = load_script('trove-guestagent', old_agent.HERE)

        made = agent.Agent(agent.options_of(str(self.layer)))

        self.assertEqual('i1', made.id)
        self.assertEqual((('10.0.0.1', 5672), ('trove', 'p w', 'vhost')), (made.place, made.login))
        self.assertEqual(3.0, made.interval)


class StockFilesTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.layer = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.files = stock.StockFiles(FILES)

    def test_nothing_of_the_product_is_in_it(self):
        self.files.write(self.layer, pathlib.Path('unused'), has_agent=False)

        written = {path.relative_to(self.layer).as_posix() for path in self.layer.rglob('*')}
        self.assertIn('usr/lib/trove-lab/trove-agent-service', written)
        self.assertEqual([], [path for path in written if 'trove-upgrade' in path])

    def test_user_data_is_read_by_the_interpreter_of_troves_agent(self):
        self.files.write(self.layer, pathlib.Path('unused'), has_agent=False)

        reader = (self.layer / 'usr/lib/trove-lab/apply-seed').read_text()
        self.assertTrue(reader.startswith('#!/opt/guest-agent-venv/bin/python\n'), reader[:80])
        self.assertNotIn('/opt/trove-upgrade', reader)

    def test_it_cannot_have_our_agent(self):
        self.assertRaises(
            ValueError, self.files.write, self.layer, pathlib.Path('unused'), has_agent=True
        )


class _Mirror:
    """A builder of which the suite is gone, or not."""

    def __init__(self, *gone):
        self.gone = gone

    def fetch(self, recipe):
        if recipe.suite in self.gone:
            raise errors.CommandFailed(f'no Release file for {recipe.suite}')

    def build(self, recipe):
        return recipe.name


class OldestTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.told = []

    def test_bullseye_is_taken_while_a_mirror_has_it(self):
        found = oldest.build(_Mirror(), self.told.append)

        self.assertEqual(
            ('old-bullseye', 'old-bullseye-systemd', False),
            (found.sysv, found.systemd, found.stands_in),
        )
        self.assertIn('Python 2.7', self.told[-1])

    def test_a_newer_debian_stands_in_loudly(self):
        found = oldest.build(_Mirror('bullseye'), self.told.append)

        self.assertEqual(('old-bookworm', True), (found.sysv, found.stands_in))
        self.assertIn('NO OLD GUESTS', self.told[-1])
        self.assertIn('no Release file for bullseye', self.told[-1])


class ProvisionTest(base.TestCase):
    def test_settings_stand_in_the_group_that_every_version_reads(self):
        self.assertEqual(
            '# The settings of this instance.\n[mariadb]\na = 1\nb = 2\n',
            provision.settings_file({'b': '2', 'a': '1'}),
        )
        self.assertIn('[mysqld]\na = 1\n', provision.settings_file({'a': '1'}, 'mysqld'))

    def test_every_account_is_made(self):
        statements = provision.accounts_sql(provision.LAB_CREDENTIALS)

        for account in (
            provision.LAB_CREDENTIALS.admin,
            provision.LAB_CREDENTIALS.application,
            provision.LAB_CREDENTIALS.reader,
        ):
            self.assertIn(f"CREATE USER IF NOT EXISTS '{account.name}'@", statements)

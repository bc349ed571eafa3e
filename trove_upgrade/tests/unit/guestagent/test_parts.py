# SPDX-License-Identifier: Apache-2.0
"""Marks, durable files, mounts, services, identity, commands and the composition."""

import pathlib
import uuid

import fixtures
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.conf import guestagent as guestagent_conf
from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.datastores.image_facts import ImageFacts
from trove_upgrade.guestagent.machine import commands, durable, identity, service
from trove_upgrade.guestagent.storage import mounts
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.guestagent.trove import old_agent, trove_agent
from trove_upgrade.guestagent.upgrade import composition
from trove_upgrade.guestagent.upgrade.marks import Mark, Marks
from trove_upgrade.rpc import transport
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes
from trove_upgrade.tests.unit.guestagent.trove import test_trove_agent as fakes_of_services


class DirectoryTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path
        )
        self.layout = Layout(self.directory)


class MarksTest(DirectoryTestCase):
    def setUp(self):
        super().setUp()
        self.layout.volume.mkdir(parents=True)
        self.marks = Marks(self.layout)

    def test_every_mark_can_be_set_read_and_cleared(self):
        for mark in Mark:
            self.assertFalse(self.marks.has(mark))
            self.marks.set(mark, 'u')
            self.assertTrue(self.marks.has(mark, 'u'))
            self.assertFalse(self.marks.has(mark, 'another'))
            self.marks.clear(mark)
            self.marks.clear(mark)
            self.assertFalse(self.marks.has(mark))

    def test_the_point_of_no_return_outlives_either_disk(self):
        self.marks.set(Mark.SERVER_STARTED, 'u')
        (self.layout.on_volume / 'mark-server_started_on_data.json').unlink()
        self.assertTrue(self.marks.has(Mark.SERVER_STARTED, 'u'))
        self.marks.set(Mark.SERVER_STARTED, 'u')
        (self.layout.state / 'marks' / 'server_started_on_data.json').unlink()
        self.assertTrue(self.marks.has(Mark.SERVER_STARTED, 'u'))

    def test_a_mark_that_cannot_be_read_counts_as_none(self):
        self.marks.set(Mark.COMPARED, 'u')
        (self.layout.on_volume / 'mark-compared.json').write_text('[]')
        self.assertFalse(self.marks.has(Mark.COMPARED))

    def test_the_highest_generation_of_each_upgrade_is_kept_on_both_disks(self):
        self.assertEqual(0, self.marks.highest_generation('u'))
        self.marks.see_generation('u', 4)
        self.layout.on_volume.mkdir(mode=0o700)
        self.marks.see_generation('u', 3)
        self.assertEqual(4, self.marks.highest_generation('u'))
        self.marks.see_generation('u', 5)
        (self.layout.state / 'generations.json').unlink()
        self.assertEqual(
            (5, 0), (self.marks.highest_generation('u'), self.marks.highest_generation('v'))
        )

    def test_generations_that_cannot_be_read_and_those_of_long_ago_are_forgotten(self):
        for number in range(30):
            self.marks.see_generation(f'u{number}', 7)
        self.assertEqual(
            (0, 7), (self.marks.highest_generation('u0'), self.marks.highest_generation('u29'))
        )
        (self.layout.state / 'generations.json').write_text('nonsense')
        self.assertEqual(0, self.marks.highest_generation('u29'))


class DurableTest(DirectoryTestCase):
    def test_a_file_is_replaced_whole_with_its_mode(self):
        path = self.directory / 'file'
        durable.write(path, b'old', 0o644)
        (self.directory / '.file.new').write_text('left by a crash')
        durable.write(path, b'new', 0o600)
        self.assertEqual((b'new', 0o600), (path.read_bytes(), path.stat().st_mode & 0o777))
        self.assertEqual([path], list(self.directory.iterdir()))

    def test_json_is_not_read_by_way_of_a_link(self):
        durable.write_json(self.directory / 'a', {})
        (self.directory / 'b').symlink_to('a')
        self.assertRaises(OSError, durable.read_json, self.directory / 'b')


class MountsTest(base.TestCase):
    def test_names_with_spaces_and_optional_fields_are_understood(self):
        lines = (
            '36 35 98:0 / /mnt\\040x rw,noatime master:1 shared:2 - ext3 /dev/root '
            'rw,errors=continue\n'
            '37 35 0:5 / /proc rw - proc proc rw\n'
        )
        first, second = mounts.parse(lines)
        self.assertEqual(
            mounts.Mount(
                device='98:0',
                mount_point='/mnt x',
                options='rw,noatime',
                filesystem='ext3',
                source='/dev/root',
            ),
            first,
        )
        self.assertEqual('/proc', second.mount_point)

    def test_what_is_no_device_is_not_free(self):
        self.assertFalse(mounts.is_free('/nowhere'))


class CommandsTest(base.TestCase):
    def test_output_and_code_come_back(self):
        done = commands.SystemCommands().run(['sh', '-c', 'echo out; echo  two  words >&2; exit 3'])
        self.assertEqual((3, 'out\n', 'two words'), (done.returncode, done.stdout, done.said))

    def test_a_program_that_is_missing_or_too_slow_is_an_answer_too(self):
        self.assertEqual(127, commands.SystemCommands().run(['no-such-program']).returncode)
        self.assertEqual(
            124, commands.SystemCommands().run(['sleep', '30'], timeout_seconds=0.05).returncode
        )


class _Init:
    """Implements Commands as systemctl or update-rc.d and a script would answer."""

    def __init__(self, etc):
        self.etc, self.running, self.enabled, self.said = etc, set(), set(), []
        self.broken = False

    def run(self, argv, timeout_seconds=60):
        self.said.append(list(argv))
        if self.broken:
            return commands.Completed(1, '', 'it is broken')
        if argv[0] == 'systemctl':
            return self._systemctl(argv[2], argv[-1].removesuffix('.service'))
        if argv[0] == 'update-rc.d':
            return self._update(argv[1], argv[2])
        return self._script(pathlib.Path(argv[0]).name, argv[1])

    def _systemctl(self, verb, name):
        if verb == 'cat':
            return commands.Completed(0 if name == 'known' else 1, '', '')
        if verb == 'is-enabled':
            return commands.Completed(0, 'enabled' if name in self.enabled else 'disabled', '')
        if verb in {'enable', 'disable'}:
            (self.enabled.add if verb == 'enable' else self.enabled.discard)(name)
            return commands.Completed(0, '', '')
        return self._script(name, 'status' if verb == 'is-active' else verb)

    def _update(self, name, verb):
        rc = self.etc / 'rc2.d'
        rc.mkdir(exist_ok=True)
        if verb in {'enable', 'defaults'}:
            (rc / f'K01{name}').unlink(missing_ok=True)
            (rc / f'S01{name}').touch()
        else:
            (rc / f'S01{name}').rename(rc / f'K01{name}')
        return commands.Completed(0, '', '')

    def _script(self, name, verb):
        if verb == 'start':
            self.running.add(name)
        elif verb == 'stop':
            self.running.discard(name)
        elif verb == 'status':
            return commands.Completed(0 if name in self.running else 3, '', '')
        return commands.Completed(0, '', '')


class ServiceTest(DirectoryTestCase):
    """The same cases for both."""

    def _both(self):
        for make, booted in ((service.Systemd, True), (service.Sysv, False)):
            root = self.directory / make.__name__
            (root / 'etc' / 'systemd' / 'system' / 'multi-user.target.wants').mkdir(parents=True)
            (root / 'etc' / 'init.d').mkdir()
            (root / 'etc' / 'init.d' / 'known').touch()
            if booted:
                (root / 'run' / 'systemd' / 'system').mkdir(parents=True)
            init = _Init(root / 'etc')
            port = service.detect(init, root)
            self.assertIsInstance(port, make)
            yield port, init

    def test_a_service_starts_and_stops(self):
        for port, _ in self._both():
            port.start('known')
            self.assertTrue(port.status('known'))
            port.stop('known')
            self.assertFalse(port.status('known'))

    def test_a_service_is_enabled_and_disabled(self):
        for port, _ in self._both():
            self.assertFalse(port.is_enabled('known'))
            port.disable('known')
            port.enable('known')
            self.assertTrue(port.is_enabled('known'))
            port.disable('known')
            self.assertFalse(port.is_enabled('known'))

    def test_what_starts_a_service_at_boot_is_put_back_and_read_again(self):
        for port, init in self._both():
            (init.etc / 'rc3.d').mkdir()
            (init.etc / 'rc3.d/S01known').symlink_to('../init.d/known')
            links = port.boot_links('known')
            (init.etc / 'rc3.d/S01known').unlink()
            port.put_boot_links('known', links)
            self.assertEqual(links, port.boot_links('known'))
            if isinstance(port, service.Systemd):
                self.assertEqual('daemon-reload', init.said[-1][-1])
                init.broken = True
                error = self.assertRaises(
                    exceptions.StepFailed, port.put_boot_links, 'known', links
                )
                self.assertEqual('SERVICE_NOT_ENABLED', error.code)

    def test_which_services_there_are_is_known(self):
        for port, _ in self._both():
            self.assertEqual((True, False), (port.exists('known'), port.exists('unknown')))

    def test_an_init_that_says_no_is_heard(self):
        for port, init in self._both():
            port.enable('known')
            port.start('known')
            init.broken = True
            for method, code in (
                (port.start, 'SERVICE_NOT_STARTED'),
                (port.stop, 'SERVICE_NOT_STOPPED'),
                (port.enable, 'SERVICE_NOT_ENABLED'),
            ):
                error = self.assertRaises(exceptions.StepFailed, method, 'known')
                self.assertEqual(code, error.code)
                self.assertIn('it is broken', error.message)


class IdentityTest(DirectoryTestCase):
    def test_the_marker_is_what_user_data_wrote(self):
        path = self.directory / 'marker.conf'
        self.assertIsNone(identity.read_marker(path))
        for text, marker in (
            ('[trove_upgrade]\nupgrade_marker = u:1\n', 'u:1'),
            ('[trove_upgrade]\n', None),
            ('', None),
            ('half', None),
            ('[trove_upgrade]\nupgrade_marker =\n', None),
        ):
            path.write_text(text)
            self.assertEqual(marker, identity.read_marker(path))

    def test_the_boot_has_an_id(self):
        self.assertEqual(identity.boot_id(), str(uuid.UUID(identity.boot_id())))


class CompositionTest(DirectoryTestCase):
    def _conf(self, **values):
        conf = cfg.ConfigOpts()
        our_conf.register_opts(conf)
        conf.register_opts(guestagent_conf.IDENTITY_OPTS)
        transport.register_missing_opts(conf)
        conf(args=[], default_config_files=[], default_config_dirs=[])
        for name, value in values.items():
            conf.set_override(name, value)
        return conf

    def test_an_agent_without_an_identity_does_not_start(self):
        self.assertRaises(composition.NotAGuest, composition.guest, self._conf(), self.layout)
        self.assertRaises(
            composition.NotAGuest, composition.guest, self._conf(guest_id='g'), self.layout
        )

    def test_an_agent_is_composed_from_configuration(self):
        durable.make_directory(self.layout.image_facts.parent)
        durable.write_json(self.layout.image_facts, {'server_version': '11.8.6'})
        own = composition.guest(self._conf(guest_id='g', datastore_manager='mariadb'), self.layout)
        self.assertEqual(
            ('g', 'mariadb', ImageFacts(server_version='11.8.6')),
            (own.instance_id, own.driver.manager, own.driver.context.image_facts),
        )
        self.assertEqual(72, own.settings.stash_keep_hours)
        self.assertEqual((60.0,), own.awake.args)

    def test_beside_troves_agent_ours_listens_on_a_topic_of_its_own_whatever_is_configured(self):
        conf = self._conf(guest_id='g')
        composition.keep_apart(conf, fakes_of_services.Services([], names=('guest-agent',)))
        self.assertEqual('trove-upgrade-guest.', conf.trove_upgrade.guest_topic_prefix)
        alone = self._conf(guest_id='g')
        composition.keep_apart(alone, fakes_of_services.Services([], names=()))
        self.assertEqual('guestagent.', alone.trove_upgrade.guest_topic_prefix)

    def test_beside_a_service_troves_agent_is_parked_and_beside_a_container_its_own_rule_holds(
        self,
    ):
        for runtime, kind in (
            ('service', old_agent.OldAgent),
            ('container', trove_agent.TroveAgent),
        ):
            conf = self._conf(guest_id='g', datastore_manager='mariadb')
            conf.set_override('database_runtime', runtime, group=our_conf.GROUP)
            conf.set_override('guest_topic_prefix', 'ours.', group=our_conf.GROUP)
            own = composition.guest(conf, self.layout)
            self.assertIsInstance(own.trove_agent, kind)

    def test_a_datastore_without_a_driver_is_refused_by_name(self):
        own = composition.guest(
            self._conf(guest_id='g', datastore_manager='cassandra'), self.layout
        )
        error = self.assertRaises(exceptions.StepRefused, own.driver.checks, {}, {})
        self.assertIn("'cassandra'", error.message)

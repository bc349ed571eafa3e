# SPDX-License-Identifier: Apache-2.0
"""A guest without a kernel: root disk and volume are directories, the database server is an
object.
"""

import contextlib
import dataclasses
import datetime
import os
import pathlib
import shutil
import tempfile
import threading

from trove_upgrade.domain import drops, exceptions, guests
from trove_upgrade.domain.notes import SettingChange
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import places
from trove_upgrade.guestagent.datastores.table_facts import RowFacts, TableFacts, TableKind
from trove_upgrade.guestagent.sealing import held_key, seal, sequence
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.guestagent.storage.stash.accounts import SystemAccounts
from trove_upgrade.guestagent.storage.volume import Mounted
from trove_upgrade.guestagent.upgrade import work
from trove_upgrade.guestagent.upgrade.marks import Mark, Marks

UUID = '6d1b1c5e-5f0e-4a53-9e0e-0d7d6c3b2a10'
INSTANCE = '11111111-2222-3333-4444-555555555555'
UPGRADE = 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee'


def scratch():
    """Where to make directories: in memory if there files can have attributes as on disk, since
    every mark is synced.
    """
    memory = pathlib.Path('/dev/shm')
    try:
        with tempfile.NamedTemporaryFile(dir=memory) as probe:
            os.setxattr(probe.name, 'user.probe', b'')
    except OSError:
        return None
    return str(memory)


class Clock:
    """Stands still until it is moved; `monotonic` moves with it, and not where the time of day is
    set.
    """

    def __init__(self):
        self.seconds = 1000.0
        self.time = datetime.datetime(2026, 11, 21, 12, 0, tzinfo=datetime.UTC)

    def now(self):
        return self.time

    def monotonic(self):
        return self.seconds

    def sleep(self, seconds):
        self.move(seconds)

    def move(self, seconds):
        self.seconds += seconds
        self.set(seconds)

    def set(self, seconds):
        """The time of day, by so much."""
        self.time += datetime.timedelta(seconds=seconds)


class Killed(BaseException):
    """The agent dies here: no handler of ordinary errors may run."""


class Tripwire:
    """Counts the calls that change something, and kills the agent at one of them, before or after
    its effect.
    """

    def __init__(self, kill_at=None, after=False):
        self.kill_at, self.after, self.count = kill_at, after, 0

    def around(self, effect):
        self.count += 1
        if self.count == self.kill_at and not self.after:
            raise Killed
        result = effect()
        if self.count == self.kill_at and self.after:
            raise Killed
        return result

    def wrap(self, port, *names):
        return _Wired(port, self, names)


class _Wired:
    def __init__(self, port, wire, names):
        self._port, self._wire, self._names = port, wire, names

    def __getattr__(self, name):
        attribute = getattr(self._port, name)
        if name not in self._names:
            return attribute
        return lambda *args, **kwargs: self._wire.around(lambda: attribute(*args, **kwargs))


class Machine:
    """The server of Nova's: its root disk, its volume, and what runs on it."""

    def __init__(
        self, directory: pathlib.Path, version='10.11.14-MariaDB', target='11.8.6-MariaDB'
    ):
        self.layout = Layout(directory / 'root', mount_point=places.MOUNT_POINT)
        self.volume_directory = directory / 'volume'
        self.version, self.target = version, target
        self.boots = 0
        self.awake = 0  #: requests that no processor sleeps
        self.running = self.isolated = self.agent_marker = None
        self.write_on_open = True  # a client writes the moment it can
        self.mounts = []
        self.volume_late_seconds = 0.0
        self.on_late_volume = lambda late_seconds: None
        self.brought = []  #: numbers of versions whose image was brought here
        self.fail = {}  # name of a driver's method -> error to raise once
        self.others = []  # processes that hold the volume
        self.clock = Clock()
        self.drops = drops.Drops(self.clock.monotonic)
        self._provision()

    def _provision(self):
        data = self.volume_directory / 'data'
        data.mkdir(parents=True)
        (data / 'rows').write_text('3')
        (data / 'ibdata1').write_text('')
        self._new_root()
        mysql = self.layout.etc / 'mysql'
        (mysql / 'conf.d').mkdir(parents=True)
        (mysql / 'conf.d' / 'custom.cnf').write_text('[mysqld]\nwait_timeout = 1234\n')
        (mysql / 'debian-start').write_text('#!/bin/sh\n')
        (self.layout.etc / 'autostart').write_text('mariadb')
        self.layout.fstab.write_text(
            f'/dev/sda1 / ext4 defaults 0 1\nUUID={UUID} {self.layout.volume} ext4 noatime 0 2\n'
        )
        self.boot()

    def _new_root(self):
        self.layout.volume.mkdir(parents=True)
        self.layout.configuration_directory.mkdir(parents=True)
        self.layout.agent_files[0].write_text(f'[DEFAULT]\nguest_id = {INSTANCE}\n')
        self.layout.agent_files[1].write_text('[DEFAULT]\ntransport_url = fake://\n')
        self.layout.fstab.write_text('/dev/sda1 / ext4 defaults 0 1\n')
        (self.layout.etc / 'autostart').write_text('')

    @property
    def mounted(self):
        return not self.volume_directory.exists()

    def mount(self):
        self.layout.volume.rmdir()
        self.volume_directory.rename(self.layout.volume)

    def unmount(self):
        self.layout.volume.rename(self.volume_directory)
        self.layout.volume.mkdir()

    def stop_all(self):
        self.running, self.isolated, self.others = None, None, []
        if self.mounted:
            self.unmount()

    def boot(self):
        """A plain reboot: fstab and autostart decide what comes back."""
        self.stop_all()
        self.boots += 1
        shutil.rmtree(self.layout.run, ignore_errors=True)
        if f'UUID={UUID}' in self.layout.fstab.read_text():
            self.mount()
        if (self.layout.etc / 'autostart').read_text() and self.mounted:
            self.start(isolated=False)

    def rebuild(self, marker=f'{UPGRADE}:1'):
        """Nova's rebuild: a new root disk of the target's image, the same volume."""
        self.stop_all()
        shutil.rmtree(self.layout.root)
        self._new_root()
        self.layout.marker.write_text(f'[trove_upgrade]\nupgrade_marker = {marker}\n')
        self.version = self.target
        self.boot()

    def start(self, *, isolated):
        """Every start of a server writes."""
        assert self.mounted, 'a server was started without its volume'
        (self.layout.data_directory / 'ibdata1').write_text(
            f'{self.version} {self.boots} {self.clock.time}'
        )
        (self.layout.data_directory / 'clean').unlink(missing_ok=True)
        self.running, self.isolated = self.version, isolated

    def guest(self, wire=None):
        """An agent's life begins."""
        driver, volume, marks = Driver(self), Volume(self), Marks(self.layout)
        if wire is not None:
            driver = wire.wrap(
                driver,
                'fingerprint_and_stop',
                'set_autostart',
                'undo_autostart',
                'start',
                'own_data',
                'start_isolated',
                'upgrade_data',
                'open_for_clients',
            )
            volume = wire.wrap(volume, 'mount', 'unmount', 'write_fstab')
            marks = wire.wrap(marks, 'set', 'record', 'clear')
        return work.Guest(
            instance_id=INSTANCE,
            agent_version='1.2.3',
            boot_id=lambda: f'boot-{self.boots}',
            marker=lambda: self.agent_marker,
            layout=self.layout,
            clock=self.clock,
            volume=volume,
            service=Service(self),
            driver=driver,
            marks=marks,
            accounts=SystemAccounts(),
            awake=self._awake,
        )

    @contextlib.contextmanager
    def _awake(self):
        self.awake += 1
        try:
            yield
        finally:
            self.awake -= 1

    def seal(self, troves_key=None, random=os.urandom):
        """The seal of an agent whose life begins now."""
        return seal.Seal(
            held_key.HeldKey(self.layout, INSTANCE, troves_key),
            lambda key_id: sequence.Sequence(self.layout.sequence(key_id)),
            self.drops,
            self.clock.monotonic,
            random,
        )

    def put_key(self, key, mode=0o600):
        """The key file, as user data of a rebuild or an operator writes it."""
        self.layout.guest_key.write_bytes(key if isinstance(key, bytes) else key.to_file())
        self.layout.guest_key.chmod(mode)

    def call(self, **changes):
        call = guests.GuestCall(
            instance_id=INSTANCE,
            upgrade_id=UPGRADE,
            attempt=1,
            generation=1,
            deadline=self.clock.time + datetime.timedelta(hours=1),
            target=TargetFacts(),
        )
        target = TargetFacts.from_wire(changes.pop('target', {}))
        return dataclasses.replace(call, target=target, **changes)

    def work(self, wire=None, **changes):
        return work.Work(self.guest(wire), self.call(**changes), lambda percent, message: None)


class Volume:
    """Implements VolumePort by renaming directories."""

    def __init__(self, machine):
        self._machine = machine

    def mounted(self):
        return Mounted(UUID, 'ext4', 'rw,noatime') if self._machine.mounted else None

    def mount(self, uuid, options=None, wait_seconds=0):
        if not self._machine.mounted:
            self._machine.volume_late_seconds -= wait_seconds
            self._machine.on_late_volume(self._machine.volume_late_seconds)
        if uuid != UUID or self._machine.volume_late_seconds > 0:
            raise exceptions.StepFailed(f'The volume {uuid} cannot be found.', 'VOLUME_NOT_FOUND')
        if not self._machine.mounted:
            self._machine.mounts.append(options)
            self._machine.mount()

    def unmount(self):
        if self.holders():
            raise exceptions.StepFailed(
                f'The volume cannot be unmounted: it is held by {", ".join(self.holders())}.',
                'VOLUME_BUSY',
            )
        if self._machine.mounted:
            self._machine.unmount()

    def free_bytes(self):
        free = self._machine.fail.get('free_bytes', 1 << 30)
        return free() if callable(free) else free

    def size_bytes(self):
        return 1 << 30

    def holders(self):
        return [*self._machine.others, *(['77 (mariadbd)'] if self._machine.running else [])]

    def write_fstab(self, uuid, filesystem):
        self._machine.layout.fstab.write_text(
            f'UUID={uuid} {self._machine.layout.volume} {filesystem} noatime 0 2\n'
        )

    def in_fstab(self, uuid):
        return f'UUID={uuid}' in self._machine.layout.fstab.read_text()


class Service:
    """Implements ServicePort; a name in etc/autostart is what is enabled."""

    def __init__(self, machine):
        self._machine = machine

    def exists(self, name):
        return True

    def start(self, name):
        self._machine.start(isolated=False)

    def stop(self, name):
        self._machine.running = None

    def status(self, name):
        return self._machine.running is not None

    def enable(self, name):
        (self._machine.layout.etc / 'autostart').write_text(name)

    def disable(self, name):
        (self._machine.layout.etc / 'autostart').write_text('')

    def is_enabled(self, name):
        return (self._machine.layout.etc / 'autostart').read_text() == name


class Driver(base.DatastoreDriver):
    """A driver for the machine's imaginary server; each method fails once if the machine says
    so.
    """

    manager = 'fake'

    def __init__(self, machine):
        self.machine = machine
        self.layout = machine.layout

    def _may_fail(self, name):
        error = self.machine.fail.pop(name, None)
        if error is not None:
            raise error

    def checks(self, target, options):
        return self.machine.fail.get(
            'checks', [CheckResult(name='fake', outcome='ok', message='All is well.')]
        )

    def bring_target(self, target, progress):
        failure = self.machine.fail.get('bring_target')
        if failure is not None:
            raise failure
        self.machine.brought.append(target.version_number)
        return f'Container image mariadb:{target.version_number} is in the guest.'

    def _fingerprint(self):
        rows = int((self.layout.data_directory / 'rows').read_text())
        return base.Fingerprint(
            server_version=self.machine.running,
            taken_at=self.machine.clock.time.isoformat(),
            tables={
                'a.t': TableFacts(kind=TableKind.TABLE, rows=RowFacts(count=rows, checksum=None))
            },
            counted_only_by_file=[],
            users=['u@%'],
            grants={},
            objects={},
            settings={},
        )

    def fingerprint_and_stop(self, options, progress):
        assert not (self.layout.etc / 'autostart').read_text(), 'autostart was still on'
        progress(50, 'Counting.')
        self._may_fail('fingerprint_and_stop')
        fingerprint = self._fingerprint()
        (self.layout.data_directory / 'clean').write_text('')
        self.machine.running = None
        self._may_fail('after_stop')
        return fingerprint

    def shutdown_was_clean(self):
        return (self.layout.data_directory / 'clean').exists() and not self.machine.fail.pop(
            'unclean', False
        )

    def directories(self):
        return (self.layout.etc / 'mysql',)

    def stash_roots(self):
        return [self.layout.etc / 'mysql']

    def restore_paths(self, stashed):
        return [path for path in stashed.files if path.endswith('.cnf')]

    def check_configuration(self, options):
        bad = 'bad_option' in (self.layout.etc / 'mysql' / 'conf.d' / 'custom.cnf').read_text()
        if bad:
            return CheckResult(
                name='configuration',
                outcome='refused',
                message='unknown variable bad_option',
                code='CONFIGURATION_REFUSED',
            )
        return CheckResult(name='configuration', outcome='ok', message='accepted')

    def own_data(self):
        self._may_fail('own_data')

    def start_isolated(self):
        assert (self.layout.on_volume / f'mark-{Mark.SERVER_STARTED}.json').exists(), (
            'the point of no return was not recorded'
        )
        self.machine.start(isolated=True)
        self._may_fail('start_isolated')

    def upgrade_data(self, progress, former='', options=None):
        assert self.machine.isolated
        progress(50, 'Half of the phases.')
        self._may_fail('upgrade_data')
        (self.layout.data_directory / 'upgraded').write_text(self.machine.version)

    def fingerprint(self, options, progress):
        assert self.machine.isolated, 'clients could write while the fingerprint was taken'
        progress(0, 'Counting.')
        progress(99, 'Counting.')
        return self._fingerprint()

    def compare(self, before, after):
        missing = [] if before.tables == after.tables else ['table a.t has other rows']
        return base.Comparison(
            missing=missing,
            settings_changed=[SettingChange(name='x', before='1', after='2')],
            tables_compared=1,
            rows_compared=after.tables['a.t'].rows.count,
        )

    def open_for_clients(self):
        self._may_fail('open_for_clients')
        self.machine.start(isolated=False)
        if self.machine.write_on_open:
            rows = self.layout.data_directory / 'rows'
            rows.write_text(str(int(rows.read_text()) + 1))

    def start(self):
        self._may_fail('start')
        self.machine.start(isolated=False)

    def installed_version(self):
        return self.machine.version

    def server_version(self):
        return self.machine.running

    def write_probe(self):
        self._may_fail('write_probe')

    def set_autostart(self, *, enabled):
        (self.layout.etc / 'autostart').write_text('trove-upgrade-database' if enabled else '')

    def undo_autostart(self):
        (self.layout.etc / 'autostart').write_text('mariadb')


class Gate:
    """A body of a job that stays until it is let go."""

    def __init__(self):
        self.entered, self.released = threading.Event(), threading.Event()
        self.calls = 0

    def __call__(self, call, progress):
        self.calls += 1
        self.entered.set()
        while not self.released.wait(0.01):
            progress(10, 'Waiting.')
        progress(20, 'Let go.')
        return work.JobOutcome('Done.', {'n': self.calls})

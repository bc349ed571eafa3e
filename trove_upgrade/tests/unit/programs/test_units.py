# SPDX-License-Identifier: Apache-2.0
"""The units of systemd that come with the package: each service has the sandbox that it works in,
and no setting goes unnoticed.
"""

import pathlib
import re
import subprocess

import fixtures

import trove_upgrade
from trove_upgrade.tests.unit import base

FOLDER = pathlib.Path(trove_upgrade.__file__).parents[1] / 'etc' / 'trove-upgrade'
UNITS = {
    path.name.removeprefix('trove-upgrade-').removesuffix('.service'): path
    for path in sorted(FOLDER.rglob('*.service'))
}

#: Of a service of the control plane: it talks to the network, writes its log and starts nothing.
_CONTROL_PLANE = {
    'UMask': '0027',
    'LogsDirectoryMode': '0750',
    'NoNewPrivileges': 'true',
    'CapabilityBoundingSet': '',
    'ProtectSystem': 'strict',
    'ProtectHome': 'true',
    'PrivateTmp': 'true',
    'PrivateDevices': 'true',
    'PrivateIPC': 'true',
    'ProtectClock': 'true',
    'ProtectControlGroups': 'true',
    'ProtectHostname': 'true',
    'ProtectKernelLogs': 'true',
    'ProtectKernelModules': 'true',
    'ProtectKernelTunables': 'true',
    'LockPersonality': 'true',
    'RemoveIPC': 'true',
    'RestrictAddressFamilies': 'AF_UNIX AF_INET AF_INET6',
    'RestrictNamespaces': 'true',
    'RestrictRealtime': 'true',
    'RestrictSUIDSGID': 'true',
    'SystemCallArchitectures': 'native',
    'SystemCallErrorNumber': 'EPERM',
    'SystemCallFilter': '@system-service ~@privileged @resources',
}
SANDBOX = {
    'taskmanager': _CONTROL_PLANE,
    'api': _CONTROL_PLANE,
    'guestagent': {
        'NoNewPrivileges': 'true',
        'LockPersonality': 'true',
        'RestrictAddressFamilies': 'AF_UNIX AF_INET AF_INET6 AF_NETLINK',
        'RestrictNamespaces': 'true',
        'RestrictRealtime': 'true',
        'SystemCallArchitectures': 'native',
        'SystemCallErrorNumber': 'EPERM',
        'SystemCallFilter': '@system-service @mount ~@clock @cpu-emulation @debug @module '
        '@obsolete @raw-io @reboot @swap',
        'CapabilityBoundingSet': '~CAP_AUDIT_CONTROL CAP_AUDIT_READ CAP_BLOCK_SUSPEND CAP_BPF '
        'CAP_CHECKPOINT_RESTORE CAP_LEASE CAP_MAC_ADMIN '
        'CAP_MAC_OVERRIDE ~CAP_MKNOD CAP_NET_BROADCAST CAP_NET_RAW '
        'CAP_PERFMON CAP_SETFCAP CAP_SYSLOG CAP_SYS_BOOT CAP_SYS_MODULE '
        '~CAP_SYS_PACCT CAP_SYS_RAWIO CAP_SYS_TIME CAP_SYS_TTY_CONFIG '
        'CAP_WAKE_ALARM',
    },
    'metadata': {
        'NoNewPrivileges': 'true',
        'CapabilityBoundingSet': 'CAP_NET_ADMIN',
        'ProtectSystem': 'strict',
        'ProtectHome': 'true',
        'ProtectClock': 'true',
        'ProtectControlGroups': 'true',
        'ProtectKernelLogs': 'true',
        'ProtectKernelTunables': 'true',
        'LockPersonality': 'true',
        'RestrictAddressFamilies': 'AF_UNIX AF_NETLINK',
        'RestrictNamespaces': 'true',
        'RestrictRealtime': 'true',
        'RestrictSUIDSGID': 'true',
        'SystemCallArchitectures': 'native',
        'SystemCallErrorNumber': 'EPERM',
        'SystemCallFilter': '@system-service',
    },
    'database': {
        'ProtectSystem': 'full',
        'ProtectHome': 'read-only',
        'ProtectControlGroups': 'true',
        'ProtectKernelLogs': 'true',
        'ProtectKernelModules': 'true',
        'ProtectKernelTunables': 'true',
        'LockPersonality': 'true',
        'RestrictNamespaces': 'true',
        'RestrictRealtime': 'true',
        'SystemCallArchitectures': 'native',
    },
}
_SANDBOXING = re.compile(
    r'Protect|Private|Restrict|SystemCall|Capabilit|Ambient|NoNewPriv|LockPers|MemoryDeny|UMask|RemoveIPC|Device|LogsDirectoryMode|'
    r'ReadWrite|ReadOnly|Inaccessible|TemporaryFile|Bind|Root|Mount|ProcSubset|NoExec|ExecPaths|IPAddress|Keyring|Secure'
)

#: systemd.exec(5): with any of these a service has file systems of its own, and what it mounts is
#: seen by itself alone.
_OWN_FILE_SYSTEMS = re.compile(
    r'Protect(System|Home|KernelTunables|KernelModules|KernelLogs|ControlGroups|Proc)|Private(Tmp|Devices|Mounts|IPC)|ReadWrite|'
    r'ReadOnly|Inaccessible|TemporaryFile|Bind|Root|Mount|ProcSubset|NoExec|ExecPaths|DynamicUser|LogNamespace'
)
#: systemd.resource-control(5): with any of these it opens no device but those that are named.
_NO_DEVICES = re.compile(r'Device|ProtectClock')

#: Exposure as `systemd-analyze security` counts it, 0 to 100.
MOST_EXPOSED = {'taskmanager': 20, 'api': 20, 'guestagent': 60, 'database': 76, 'metadata': 40}


def service_of(path):
    """Settings of section [Service]; those that are given several times are joined, as systemd
    merges the lists among them.
    """
    section, found = None, {}
    for line in path.read_text().replace('\\\n', ' ').splitlines():
        if line.startswith('['):
            section = line
        elif section == '[Service]' and line and not line.startswith(('#', ';')):
            name, _, value = line.partition('=')
            found[name] = f'{found[name]} {value}' if found.get(name) else value
    return found


class TestUnits(base.TestCase):
    def test_programs_of_ours_tell_systemd_when_they_are_ready(self):
        kinds = {name: service_of(path)['Type'] for name, path in UNITS.items()}
        self.assertEqual(
            {'api': 'notify', 'taskmanager': 'notify', 'guestagent': 'notify'},
            {name: kind for name, kind in kinds.items() if name not in {'database', 'metadata'}},
        )

    def test_a_taskmanager_may_wait_for_its_database_longer_than_systemd_would(self):
        self.assertEqual('infinity', service_of(UNITS['taskmanager'])['TimeoutStartSec'])

    def test_each_unit_has_its_sandbox_in_the_list(self):
        self.assertEqual(set(SANDBOX), set(UNITS))
        for name, path in UNITS.items():
            with self.subTest(name):
                found = {
                    setting: value
                    for setting, value in service_of(path).items()
                    if _SANDBOXING.match(setting)
                }
                self.assertEqual(SANDBOX[name], found)

    def test_the_guest_agent_mounts_for_the_whole_guest_and_opens_its_devices(self):
        settings = service_of(UNITS['guestagent'])
        self.assertEqual(
            [],
            [name for name in settings if _OWN_FILE_SYSTEMS.match(name) or _NO_DEVICES.match(name)],
        )

    def test_the_guest_agent_keeps_what_its_work_needs(self):
        """Mounts, owners of files, the servers' users, processes of theirs, and a look at the
        packet filter.
        """
        dropped = service_of(UNITS['guestagent'])['CapabilityBoundingSet']
        for needed in (
            'CHOWN',
            'NET_ADMIN',
            'DAC_OVERRIDE',
            'DAC_READ_SEARCH',
            'FOWNER',
            'FSETID',
            'KILL',
            'SETGID',
            'SETUID',
            'SYS_ADMIN',
            'SYS_PTRACE',
            'SYS_RESOURCE',
        ):
            self.assertNotIn(f'CAP_{needed} ', f'{dropped} ')

    def test_the_start_of_the_database_reads_its_device(self):
        self.assertEqual(
            [],
            [
                name
                for name in service_of(UNITS['database'])
                if _NO_DEVICES.match(name) or name == 'PrivateDevices'
            ],
        )

    def test_no_service_of_the_control_plane_runs_as_root(self):
        for name in ('taskmanager', 'api'):
            self.assertEqual('trove', service_of(UNITS[name])['User'])


class TestAnalysis(base.TestCase):
    """What systemd itself thinks of them."""

    def analyze(self, *words):
        return subprocess.run(
            ['systemd-analyze', '--no-pager', *words], capture_output=True, text=True, timeout=60
        )

    def unit(self, path):
        """As it is, but for the program, which is not installed here."""
        place = pathlib.Path(self.useFixture(fixtures.TempDir()).path) / path.name
        place.write_text(
            re.sub(r'^ExecStart=\S+', 'ExecStart=/bin/true', path.read_text(), flags=re.MULTILINE)
        )
        return str(place)

    def test_it_knows_every_setting(self):
        ended = self.analyze('verify', '--man=no', *(self.unit(path) for path in UNITS.values()))
        self.assertEqual((0, ''), (ended.returncode, ended.stderr))

    def test_none_is_more_exposed_than_it_was(self):
        for name, path in UNITS.items():
            with self.subTest(name):
                ended = self.analyze(
                    'security',
                    '--offline=true',
                    f'--threshold={MOST_EXPOSED[name]}',
                    self.unit(path),
                )
                self.assertEqual(0, ended.returncode, ended.stdout[-300:] + ended.stderr)

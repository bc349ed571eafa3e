# SPDX-License-Identifier: Apache-2.0
"""One run of the bridge over 200 simulated guests, of which one in twenty has a fault, and four
real ones: each comes to the end that it should, nothing is open, and no limit was ever exceeded.

Several minutes.  Needs a bundle in `dist`: "make bundle".
"""

import datetime
import pathlib
import re
import subprocess
from collections import Counter

import paramiko
from testtools import content

from lab.publishing import PublishedVersion
from trove_upgrade.bridge import guest as installer
from trove_upgrade.bridge.reach.host_key import HostKey
from trove_upgrade.cmd.console import program
from trove_upgrade.db.repositories import Repositories
from trove_upgrade.tests.fleet import guests, trace
from trove_upgrade.tests.fleet.guests import CODES, Fault
from trove_upgrade.tests.fleet.old_guest import AGENT
from trove_upgrade.tests.fleet.stage import FleetStage, forget_rows
from trove_upgrade.tests.fleet.trace import Span
from trove_upgrade.tests.old_cloud.moments import KilledTestCase

SEED, COUNT, HYPERVISORS = 18, 200, 20
AT_ONCE, PER_NODE, PER_HYPERVISOR = 16, 10, 2
CANARY, WAVE, STOP_PERCENT = 2, 50, 10
MOST_MEGABYTES = 300
RUN_SECONDS = 3600
FAILED = 1
FOURTH = 'old-fourth'
_PEAK = re.compile(r'^VmHWM:\s+(\d+) kB$', re.MULTILINE)


class TestFleet(KilledTestCase):
    def setUp(self):
        super().setUp()
        self.repositories = Repositories.from_conf(self.configuration())
        self.addCleanup(self.repositories.database.dispose)
        target = self.stage.stage.target.name
        upgraded = [one.name for one in self.stage.instances if self.version_of(one).name == target]
        self.assertEqual([], upgraded, 'they are no old guests: bring a new old cloud up')
        self.as_before(self.stage.instances)
        self.real = [*self.stage.instances, self.a_fourth()]
        self.addCleanup(self.as_before, self.real)
        self.fleet = guests.planned(
            SEED,
            COUNT,
            places=self.places(),
            versions=sorted({self.version_of(one).name for one in self.real}),
            hypervisors=HYPERVISORS,
        )
        self.place = FleetStage(self.stage, self.repositories, self.fleet, self.work_dir)
        self.place.take_out()  # of a test that was killed
        self.addCleanup(lambda: self.assertEqual([], self.place.left()))
        self.addCleanup(self.place.take_out)
        other = paramiko.ECDSAKey.generate()
        self.place.put_in(HostKey(other.get_name(), other.asbytes()).text)
        with self.short_lease.open('a') as sink:
            sink.write('compute_timeout = 20\n')  # as by default: the laboratory's own is short
            sink.write(f'[service_credentials]\nregion_name = {self.place.region}\n')

    def configuration(self):
        given = program.parser('test', 'none').parse_args(['--config-file', str(self.config_file)])
        return program.configuration(given)

    def places(self):
        """The networks of the real guests, and the host by which each is reached."""
        return [
            guests.Place(
                network_id=network.network_id,
                project_id=network.project_id,
                node='node' if network.on_node else 'here',
            )
            for network in {one.network.network_id: one.network for one in self.real}.values()
        ]

    def version_of(self, instance):
        return self.repositories.instances.get(instance.id, with_details=False).version

    def a_fourth(self):
        """One more real guest, beside the first one."""
        first = self.stage.instances[0]
        version = self.version_of(first)
        published = PublishedVersion(
            datastore=version.datastore_name,
            name=version.name,
            image_id=version.image_id,
            image_name=version.name,
        )
        made = self.stage.makers.create(FOURTH, published, first.network, rows=10)
        self.addCleanup(self.delete, made)
        return made

    def delete(self, instance):
        forget_rows(self.repositories, [instance.id], [instance.server_id])
        url = f'{self.handle.nova_url}/servers/{instance.server_id}'
        self.admin.request('DELETE', url)

    def as_before(self, instances):
        """Take our agent out of real guests again: other tests bring it in."""
        text = installer.read(installer.INSTALLER).decode()
        for one in instances:
            guest = self.stage.makers.guest(one)
            guest.exec(['sh', '-s', '--', 'remove'], input_text=text)
            self.repositories.guest_keys.retire(one.id)
            self.repositories.guests.forget_agent(one.id)

    def test_all_come_to_their_ends_within_every_limit(self):
        agents = [self.agent_pid(one) for one in self.real]
        rows = [self.rows(one) for one in self.real]

        code, peak_megabytes = self.run_over_all()

        self.assertEqual(FAILED, code)
        members = {one['instance_id']: one for one in self.members(self.run_id)}
        self.show_figures(members, peak_megabytes)
        self.each_has_its_end(members)
        self.assertEqual('Nothing is open.\n', self.bridge('audit').stdout)
        self.assertEqual(set(), self.ours())
        self.no_limit_was_exceeded(members)
        self.nothing_is_left_in_those_that_failed()
        self.assertLessEqual(peak_megabytes, MOST_MEGABYTES)
        self.assertEqual(agents, [self.agent_pid(one) for one in self.real])
        self.assertEqual(rows, [self.rows(one) for one in self.real])

    def run_over_all(self):
        """The exit code of the program, and the most memory that it had."""
        words = (
            *('run', '--all', '--bundle', self.bundle(), *self.way()),
            *('--at-once', str(AT_ONCE), '--per-node', str(PER_NODE)),
            *('--per-hypervisor', str(PER_HYPERVISOR), '--canary', str(CANARY)),
            *('--wave', str(WAVE), '--stop-percent', str(STOP_PERCENT)),
        )
        shown = self.work_dir / 'shown'
        with shown.open('wb') as sink:
            process = subprocess.Popen(
                [str(self.programs / 'trove-upgrade-bridge'), *self.options(), *words],
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        self.addCleanup(process.kill)
        self.addCleanup(
            lambda: self.addDetail('bridge', content.content_from_file(shown, buffer_now=True))
        )
        status, peak = pathlib.Path(f'/proc/{process.pid}/status'), [0]

        def has_ended():
            found = _PEAK.search(status.read_text())
            peak[0] = int(found[1]) if found else peak[0]
            return process.poll() is not None

        self.wait_until(has_ended, 'the run to end', RUN_SECONDS)
        self.run_id = re.search(r'^Run (\S+): \d+ instances', shown.read_text(), re.MULTILINE)[1]
        self.addCleanup(
            self.bridge, 'abort', self.run_id
        )  # one that has not ended holds its members
        return process.returncode, peak[0] // 1024

    def each_has_its_end(self, members):
        expected = {one.instance_id: ('COMPLETED', None) for one in self.fleet}
        expected |= {one.id: ('COMPLETED', None) for one in self.real}
        expected |= {
            one.instance_id: ('FAILED', CODES[one.fault]) for one in self.fleet if one.fault
        }
        self.assertEqual(
            expected, {one: (it['state'], it['error_code']) for one, it in members.items()}
        )
        self.assertEqual(
            [], [one for one, it in members.items() if it['error_code'] and not it['cause']]
        )
        report = self.shown('report', self.run_id, '--json')
        self.assertEqual('ENDED', report['run']['state'])
        self.assertEqual(
            dict(Counter(state for state, _ in expected.values())), report['run']['members']
        )

    def spans(self, members):
        """Work in each guest: of a simulated one its own record of sessions, of a real one the
        bridge's record of the steps.
        """
        found = []
        by_id = {one.instance_id: one for one in self.fleet}
        seen = trace.Trace.read(self.place.trace_file)
        self.assertEqual(0, seen.open_sessions())
        for instance_id, begin, end in seen.sessions():
            guest = by_id[instance_id]
            found.append(
                Span(
                    instance_id=instance_id,
                    node=members[instance_id]['hosts']['node'],
                    hypervisor=guest.hypervisor,
                    begin=begin,
                    end=end,
                )
            )
        for one in self.real:
            member = members[one.id]
            found.append(
                Span(
                    instance_id=one.id,
                    **member['hosts'],
                    begin=_seconds(member['steps'][0]['started_at']),
                    end=_seconds(member['steps'][-1]['ended_at']),
                )
            )
        return found

    def no_limit_was_exceeded(self, members):
        spans = self.spans(members)
        entered = {one.instance_id for one in self.fleet if one.fault is not Fault.SSHD_REFUSES}
        self.assertEqual(
            entered | {one.id for one in self.real}, {one.instance_id for one in spans}
        )
        most = {
            'in all': (AT_ONCE, trace.most_at_once(spans)),
            'per node': (PER_NODE, trace.most_at_once(spans, 'node')),
            'per hypervisor': (PER_HYPERVISOR, trace.most_at_once(spans, 'hypervisor')),
        }
        self.addDetail('most at once', content.text_content(repr(most)))
        for limit, found in most.values():
            self.assertLessEqual(max(found.values()), limit, most)
            # a run that had done one after the other would keep any limit
            self.assertGreater(2 * max(found.values()), limit, most)
        waves = {one: it['wave'] for one, it in members.items()}
        others = COUNT + len(self.real) - CANARY
        full = dict.fromkeys(range(1, others // WAVE + 1), WAVE)
        self.assertEqual(
            {0: CANARY, **full, len(full) + 1: others % WAVE}, dict(Counter(waves.values()))
        )
        self.assertTrue(trace.waves_in_order(spans, waves))

    def nothing_is_left_in_those_that_failed(self):
        held = trace.Trace.read(self.place.trace_file).held()
        left = {one.name: held.get(one.instance_id, ()) for one in self.fleet if one.fault}
        self.assertEqual(dict.fromkeys(left, ()), left)
        runs = [one for one in self.fleet if not one.fault]
        self.assertEqual([], [one.name for one in runs if AGENT not in held[one.instance_id]])

    def show_figures(self, members, peak_megabytes):
        seen = trace.Trace.read(self.place.trace_file)
        lines = [f'peak of memory: {peak_megabytes} MB']
        for name, seconds in sorted(seen.seconds_of().items()):
            lines.append(_line(f'guest: {name}', seconds))
        steps = {}
        for member in members.values():
            for step in member['steps']:
                if step['ended_at'] is None:  # an outage: the step was done again
                    continue
                took = _seconds(step['ended_at']) - _seconds(step['started_at'])
                steps.setdefault(step['step'], []).append(took)
        lines += [_line(f'step {name}', seconds) for name, seconds in steps.items()]
        self.addDetail('figures', content.text_content('\n'.join(lines)))


def _line(name, seconds):
    mean = sum(seconds) / len(seconds)
    return f'{name}: {len(seconds)} times, {mean:.2f} s each, {max(seconds):.2f} s at most'


def _seconds(text):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp()

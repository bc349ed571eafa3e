# SPDX-License-Identifier: Apache-2.0
"""The guest agent in real guests: real images, volumes and servers, but neither Nova nor a broker;
calls come in by hand.
"""

import dataclasses
import datetime
import json
import uuid

from lab.images import provision, recipes
from trove_upgrade.domain import guests as wire
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.sealing import envelope, keys, messages
from trove_upgrade.taskmanager import user_data
from trove_upgrade.tests.functional.host.test_lab_guests import GuestTestCase

PYTHON = '/opt/trove-upgrade/venv/bin/python'

#: What an agent does with one call; it waits for the job's end.
ASK = """
import json, sys
from oslo_config import cfg
from oslo_service import backend
backend.init_backend(backend.BackendType.THREADING)
from trove_upgrade import conf as our_conf
from trove_upgrade.conf import guestagent as guestagent_conf
from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent import agent, manager
from trove_upgrade.guestagent.jobs import job, journal
from trove_upgrade.guestagent.storage import layout
from trove_upgrade.guestagent.upgrade import composition
conf = cfg.CONF
our_conf.register_opts(conf)
conf.register_opts(guestagent_conf.IDENTITY_OPTS)
conf(args=['--config-dir', '/etc/trove/conf.d'], default_config_files=[])
own = composition.guest(conf, layout.Layout())
jobs = job.Jobs(journal.Journal(own.layout.jobs), agent.bodies(own), own.clock)
seal = agent.compose_seal(conf, own)
endpoint = manager.GuestManager(own, jobs, journal.Journal(own.layout.jobs), seal, join_seconds=300)
# one call a line, one answer a line: an agent's session ends with its process
for line in sys.stdin:
    try:
        answer = getattr(endpoint, sys.argv[1])(None, **json.loads(line))
    except exceptions.Dropped as error:
        answer = {'dropped': error.code}
    print(json.dumps(answer), flush=True)
"""


class AgentTestCase(GuestTestCase):
    manager = 'mariadb'

    def setUp(self):
        super().setUp()
        self.upgrade_id = str(uuid.uuid4())
        self.options = GuestOptions()

    def provisioned(self, rows=2000, settings=None):
        guest = self.guest(user_data=self.user_data())
        provision.provision_database(guest, settings)
        provision.seed_rows(guest, rows)
        return guest

    def user_data(self, marker=None):
        files = {
            'guest_info.conf': f'[DEFAULT]\nguest_id = one\ndatastore_manager = {self.manager}\n',
            'trove-guestagent.conf': '[DEFAULT]\ntransport_url = fake://\n',
        }
        writes = [
            {'path': f'/etc/trove/conf.d/{name}', 'content': content}
            for name, content in files.items()
        ]
        former = b'#cloud-config\n' + json.dumps({'write_files': writes}).encode()
        return (
            former
            if marker is None
            else user_data.render(
                former,
                marker,
                user_data.Contents(datastore_version='11.8.6', datastore_manager=self.manager),
            )
        )

    def read_by_the_tenant(self, guest):
        """What the tenant's superuser reads of the agents' files."""
        names = self.shell(guest, 'ls /etc/trove/conf.d').split()
        return [
            name
            for name in names
            if provision.sql(
                guest, f"SELECT LOAD_FILE('/etc/trove/conf.d/{name}') IS NULL;"
            ).strip()
            == '0'
        ]

    def rebuild(self, guest, image=None):
        spec = dataclasses.replace(
            guest.spec,
            image_path=(image or self.target).path,
            user_data=self.user_data(f'{self.upgrade_id}:1'),
        )
        guest = self.host.guests.rebuild('one', spec)
        # It would take a call that is asked here for one that its predecessor did not finish, and
        # work beside us.
        self.shell(guest, 'service trove-upgrade-guestagent stop')
        return guest

    def call(self, upgrade_info=None, attempt=1):
        deadline = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5)
        return wire.GuestCall(
            instance_id='one',
            upgrade_id=self.upgrade_id,
            attempt=attempt,
            generation=1,
            deadline=deadline,
            target=TargetFacts.from_wire(self.target.facts),
            options=self.options,
            upgrade_info=upgrade_info or {},
        )

    def ask(self, guest, method, *, attempt=1, upgrade_info=None, state=wire.JobState.DONE):
        call = self.call(upgrade_info, attempt)
        done = guest.exec(
            [PYTHON, '-c', ASK, method], input_text=json.dumps(call.to_wire()), timeout_seconds=300
        )
        answer = wire.GuestAnswer.from_wire(json.loads(done.output.splitlines()[-1]))
        self.assertEqual(state, answer.state, f'{method}: {answer.message} {done.errors[-2000:]}')
        return answer

    def checksum(self, guest):
        return provision.sql(
            guest, 'CHECKSUM TABLE shop.orders EXTENDED; SELECT COUNT(*) FROM shop.orders;'
        )


class UpgradeTest(AgentTestCase):
    def test_a_guest_is_upgraded_and_serves_again_after_a_plain_reboot(self):
        guest = self.provisioned()
        before = self.checksum(guest)
        checks = self.ask(guest, 'check_upgrade').result['checks']
        self.assertEqual(
            [], [check for check in checks if check['outcome'] not in {'ok', 'warning'}]
        )
        self.assertIn(
            'trove-guestagent.conf', self.read_by_the_tenant(guest)
        )  # as Trove's user data has it
        self.assertIn('GUEST_SECRETS_READABLE', [check['code'] for check in checks])
        self.assertIn(
            ('guest_metadata', 'ok'), [(check['name'], check['outcome']) for check in checks]
        )

        stopped = self.ask(guest, 'pre_upgrade')
        self.assertEqual((wire.ServerState.STOPPED, False), (stopped.server_state, stopped.serving))
        self.assertEqual('', self.shell(guest, 'grep /var/lib/mysql /proc/mounts || true'))
        guest = self.rebuild(guest)
        restored = self.ask(guest, 'post_upgrade', upgrade_info=stopped.result['upgrade_info'])
        self.assertTrue(restored.serving)
        self.assertEqual([], restored.result['fingerprint']['missing'])
        verified = self.ask(guest, 'verify_upgrade', upgrade_info=stopped.result['upgrade_info'])
        self.assertTrue(verified.result['server_version'].startswith('11.8.'))
        self.ask(guest, 'finish_upgrade')

        self.assertEqual([], self.read_by_the_tenant(guest))
        self.assertEqual(
            ['600'], sorted(set(self.shell(guest, 'stat -c %a /etc/trove/conf.d/*').split()))
        )
        self.assertEqual(before, self.checksum(guest))
        self.assertEqual('157', provision.sql(guest, 'SELECT @@max_connections;').strip())
        self.assertEqual(
            '1',
            self.shell(guest, 'ps -o ppid= -C mariadbd | tr -d " "'),
            'the server is the child of another process',
        )
        guest.reboot()
        self.wait_until(
            lambda: guest.exec(['mariadb-admin', 'ping'], check=False).returncode == 0,
            'the database after the reboot',
            60,
        )
        self.assertEqual(before, self.checksum(guest))

    def test_a_power_cut_in_the_middle_of_the_restore_is_gone_on_from(self):
        guest = self.provisioned()
        before = self.checksum(guest)
        info = self.ask(guest, 'pre_upgrade').result['upgrade_info']
        guest = self.rebuild(guest)
        mark = '/var/lib/mysql/.trove-upgrade/mark-server_started_on_data.json'
        guest.write_file('/root/ask.py', ASK)
        guest.write_file('/root/call.json', json.dumps(self.call(info).to_wire()))
        self.shell(
            guest, f'nohup {PYTHON} /root/ask.py post_upgrade < /root/call.json > /dev/null 2>&1 &'
        )
        self.wait_until(
            lambda: guest.exec(['test', '-e', mark], check=False).returncode == 0,
            'the point of no return',
            60,
        )
        guest.power_cut()
        guest.boot()  # this starts the guest's own agent, which finds the job in its journal
        self.wait_until(
            lambda: (
                guest.exec(
                    ['test', '-e', '/var/lib/trove-upgrade/restored'], check=False
                ).returncode
                == 0
            ),
            'the agent to go on by itself',
            120,
        )
        self.shell(guest, 'service trove-upgrade-guestagent stop')
        self.assertTrue(self.ask(guest, 'post_upgrade', upgrade_info=info).serving)
        self.assertEqual(before, self.checksum(guest))


class SealedTest(AgentTestCase):
    """A guest with a key of its own: calls come to its endpoint as the broker would bring them."""

    KEY_FILE = '/etc/trove/trove-upgrade-guest.key'

    def setUp(self):
        super().setUp()
        self.key, self.number, self.session = keys.GuestKey.new('one'), 0, messages.NO_SESSION

    def keyed(self):
        guest = self.provisioned(rows=10)
        guest.write_file(self.KEY_FILE, self.key.to_file().decode())
        self.shell(
            guest,
            f'chown root:root {self.KEY_FILE}; chmod 0600 {self.KEY_FILE}; service '
            'trove-upgrade-guestagent stop',
        )
        return guest

    def seal(self, method, arguments=None):
        self.number += 1
        request = messages.Request(
            method=method,
            session=self.session,
            number=self.number,
            latest=messages.LARGEST_NUMBER,
            arguments=arguments or {},
        )
        return envelope.seal(self.key, keys.MessageDirection.TO_GUEST, request.to_bytes())

    def deliver(self, guest, method, *arguments):
        """To one start of the agent: the answers."""
        lines = ''.join(f'{json.dumps(one)}\n' for one in arguments)
        done = guest.exec([PYTHON, '-c', ASK, method], input_text=lines, timeout_seconds=300)
        return [json.loads(line) for line in done.output.splitlines()[-len(arguments) :]]

    def deliver_sealed(self, guest, *sealed):
        wires = self.deliver(guest, 'sealed', *({'envelope': one.to_wire()} for one in sealed))
        return [
            messages.Answer.from_bytes(
                envelope.unseal(
                    self.key,
                    keys.MessageDirection.TO_TASKMANAGER,
                    envelope.Envelope.from_wire(wire),
                )
            )
            for wire in wires
        ]

    def test_a_guest_with_a_key_takes_nothing_unsealed_and_its_tenant_does_not_read_the_key(self):
        guest = self.keyed()
        for method in ('check_upgrade', 'pre_upgrade'):
            self.assertEqual(
                [{'dropped': 'GUEST_SEALED'}], self.deliver(guest, method, self.call().to_wire())
            )
        self.assertEqual([{'dropped': 'GUEST_SEALED'}], self.deliver(guest, 'pre_upgrade', {}))
        self.assertEqual(
            '1', provision.sql(guest, f"SELECT LOAD_FILE('{self.KEY_FILE}') IS NULL;").strip()
        )
        self.shell(guest, f'chmod 0644 {self.KEY_FILE}')
        self.assertEqual(
            [{'dropped': 'GUEST_SEALED'}],
            self.deliver(guest, 'check_upgrade', self.call().to_wire()),
        )
        self.assertEqual(
            [{'dropped': 'NOT_SEALED'}],
            self.deliver(guest, 'sealed', {'envelope': self.seal('greet').to_wire()}),
        )

    def test_a_sealed_call_is_carried_out_by_the_agent_whose_session_it_has_alone(self):
        guest = self.keyed()
        guest.write_file('/root/ask.py', ASK)
        self.shell(
            guest,
            f'mkfifo /root/in; nohup {PYTHON} /root/ask.py sealed < /root/in > /root/out 2> '
            '/root/err & sleep 1000000000 > /root/in 2> /dev/null & true',
        )

        def live(sealed, number):
            """The answer of the agent that has run since; its lines are counted."""
            guest.write_file('/root/line', json.dumps({'envelope': sealed.to_wire()}) + '\n')
            self.shell(guest, 'cat /root/line > /root/in')
            self.wait_until(
                lambda: self.shell(guest, 'wc -l < /root/out').strip() == str(number),
                'the answer',
                60,
            )
            wire = json.loads(self.shell(guest, 'tail -n 1 /root/out'))
            return messages.Answer.from_bytes(
                envelope.unseal(
                    self.key,
                    keys.MessageDirection.TO_TASKMANAGER,
                    envelope.Envelope.from_wire(wire),
                )
            )

        met = live(self.seal('greet'), 1)
        self.assertEqual(messages.Refusal.SESSION, met.refused)
        self.session = met.session
        request = self.seal('check_upgrade', self.call().to_wire())
        self.assertEqual('DONE', live(request, 2).content['state'])
        self.assertEqual(messages.Refusal.NUMBER, live(request, 3).refused)
        after = self.deliver_sealed(guest, request)[0]
        self.assertEqual((messages.Refusal.SESSION, self.number), (after.refused, after.highest))
        self.assertNotEqual(self.session, after.session)


class SystemdTest(AgentTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.former = cls.target = cls.builder.build(recipes.TRIXIE.with_systemd())

    def test_a_guest_with_systemd_is_upgraded_and_serves_again_after_a_plain_reboot(self):
        guest = self.guest(user_data=self.user_data(), init='systemd')
        provision.provision_database(guest)
        provision.seed_rows(guest, 1000)
        before = self.checksum(guest)
        info = self.ask(guest, 'pre_upgrade').result['upgrade_info']
        self.assertEqual(
            'disabled',
            self.shell(guest, 'systemctl is-enabled trove-upgrade-database', check=False),
        )

        guest = self.rebuild(guest)
        self.assertTrue(self.ask(guest, 'post_upgrade', upgrade_info=info).serving)
        self.ask(guest, 'verify_upgrade', upgrade_info=info)
        self.assertEqual(before, self.checksum(guest))
        self.assertEqual('active', self.shell(guest, 'systemctl is-active trove-upgrade-database'))

        guest.reboot()
        self.wait_until(
            lambda: guest.exec(['mariadb-admin', 'ping'], check=False).returncode == 0,
            'the database after the reboot',
            60,
        )
        self.assertEqual(before, self.checksum(guest))
        self._is_ready_though_no_broker_is_there(guest)

    def _is_ready_though_no_broker_is_there(self, guest):
        """A service that has not told systemd of itself stays `activating`."""
        unit = 'trove-upgrade-guestagent'
        self.assertEqual('notify', self.shell(guest, f'systemctl show -P Type {unit}'))
        self.wait_until(
            lambda: self.shell(guest, f'systemctl is-active {unit}', check=False) == 'active',
            'the agent',
            60,
        )


class RefusalTest(AgentTestCase):
    def _refused(self, guest, code):
        answer = self.ask(guest, 'pre_upgrade', state=wire.JobState.REFUSED)
        self.assertEqual(code, answer.code, answer.message)
        self.assertTrue(answer.serving)
        self.assertEqual(self.before, self.checksum(guest))
        self.upgrade_id = str(uuid.uuid4())
        return answer

    def test_refusals_and_an_abort_leave_the_same_database_serving(self):
        guest = self.provisioned(rows=100)
        self.before = self.checksum(guest)

        self.shell(
            guest,
            'fallocate -l "$(stat -f -c "%f %S" /var/lib/mysql | awk \'{ print $1 * $2 - 20000000 '
            '}\')" /var/lib/mysql/ballast',
        )
        self._refused(guest, 'VOLUME_SPACE')
        self.shell(guest, 'rm /var/lib/mysql/ballast')
        self.shell(
            guest, 'sleep 600 > /var/lib/mysql/held 2>&1 < /dev/null & echo $! > /run/holder'
        )
        self.assertIn('(sleep)', self._refused(guest, 'VOLUME_BUSY').message)
        self.shell(guest, 'kill "$(cat /run/holder)"')

        self.ask(guest, 'pre_upgrade')
        self.assertTrue(self.ask(guest, 'abort_upgrade').serving)
        self.assertEqual(self.before, self.checksum(guest))
        guest.reboot()
        self.wait_until(
            lambda: guest.exec(['mariadb-admin', 'ping'], check=False).returncode == 0,
            'the database after the reboot',
            60,
        )
        self.assertEqual(
            '', self.shell(guest, 'ls -A /var/lib/mysql/.trove-upgrade | grep stash || true')
        )

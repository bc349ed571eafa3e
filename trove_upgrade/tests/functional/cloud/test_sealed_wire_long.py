# SPDX-License-Identifier: Apache-2.0
"""What root of one guest reaches of another by the broker's account that both have: it can delay,
and nothing else is believed.

Each row is an act of `attacker`, which runs in guest A.  After it, guest B has done nothing and the
taskmanager has believed nothing, and a real check of B works.  The table is printed at the end, and
written beside the logs of the lab as sealed-wire.txt.
"""

import concurrent.futures
import contextlib
import dataclasses
import json
import pathlib
import uuid
from collections.abc import Callable

import sqlalchemy as sa

from lab.instances import GUEST_KEY_FILE
from trove_upgrade.db import engine
from trove_upgrade.domain import guests as guest_domain
from trove_upgrade.tests.functional.cloud import attacker, base

_PROGRAM = pathlib.Path(attacker.__file__)
_PYTHON = '/opt/trove-upgrade/venv/bin/python'
_PLACE = '/root/attacker.py'
_STATE = '/var/lib/trove-upgrade'
_SPY = 'attacker-requests'
_FLOOD_SECONDS = 300
_PER_SECOND = 20
_NOBODY = '00000000-0000-4000-8000-000000000000'
_FORGED_CHECK = {'name': 'forged', 'outcome': 'ok', 'message': 'forged', 'code': None}
_FORGED_HEARTBEAT = {
    'boot_id': 'forged-boot',
    'marker': 'forged-marker:1',
    'restored': True,
    'agent_version': 'forged',
    'server_version': '99.9.9-forged',
    'server_state': 'running',
}


@dataclasses.dataclass
class Row:
    """One act, and what it came to."""

    act: str
    outcome: str = 'not done'

    def line(self):
        return f'{self.act:<78} {self.outcome}'


class TestSealedWire(base.CloudTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.mine = cls._made('attacker')
        cls.victim = cls._made('victim')
        cls.unkeyed = cls._made('never-keyed', with_key=False)
        cls.database = engine.Database.from_url(cls.handle.database_url())
        cls.addClassCleanup(cls.database.dispose)
        cls.maker.guest(cls.mine.server_id).write_file(_PLACE, _PROGRAM.read_text(), mode='0700')
        cls.table = []
        cls.addClassCleanup(cls._show)

    @classmethod
    def _made(cls, name, **options):
        made = cls.maker.create(f'wire-{name}', cls.former, **options)
        cls.addClassCleanup(cls.maker.delete, made.server_id)
        return made

    @classmethod
    def _show(cls):
        text = '\n'.join(row.line() for row in cls.table) + '\n'
        print(text)
        (cls.stage.layout.logs_dir / 'sealed-wire.txt').write_text(text)

    # --- the attacker
    # ------------------------------------------------------------------------------------------

    def attack(self, act, **arguments):
        """Return what it came to, once it has ended."""
        done = self.guest(self.mine).exec(
            [_PYTHON, _PLACE],
            input_text=json.dumps({'act': act, **arguments}),
            timeout_seconds=_FLOOD_SECONDS + 30,
        )
        return json.loads(done.output)

    @contextlib.contextmanager
    def attacking(self, act, **arguments):
        """Have it go on as long as the block; yields a function that waits for its end."""
        found = self.guest(self.mine)
        found.exec(['rm', '-f', str(attacker.READY)])
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            running = pool.submit(self.attack, act, **arguments)
            try:
                self.wait_until(
                    lambda: (
                        running.done()
                        or not found.exec(
                            ['test', '-e', str(attacker.READY)], check=False
                        ).returncode
                    ),
                    'the attacker to listen',
                )
                yield running.result
            finally:
                found.exec(['touch', str(attacker.STOP)])

    # --- what must not change
    # ----------------------------------------------------------------------------------

    def done_by(self, instance):
        """What the guest has done: its jobs, and the process of its database."""
        script = (
            f'ls -1 {_STATE}/jobs 2>/dev/null; pgrep -x mariadbd; ls -A {_STATE}/marks '
            '2>/dev/null; true'
        )
        return self.guest(instance).exec(['sh', '-c', script]).output.split()

    def believed_of(self, instance):
        """What the taskmanager believes of the guest, but for the times at which it was heard."""
        queries = {
            'guest': 'SELECT boot_id, marker, restored, agent_version, server_version, '
            'server_state, key_id FROM upgrade_guests WHERE instance_id = :id',
            'keys': 'SELECT key_id, session, origin FROM upgrade_guest_keys WHERE instance_id = '
            ':id ORDER BY key_id',
            'upgrades': 'SELECT id, state, step, error_code FROM instance_upgrades WHERE '
            'instance_id = :id ORDER BY id',
            'instance': 'SELECT task_id, datastore_version_id FROM instances WHERE id = :id',
        }
        with self.database.read() as connection:
            return {
                name: [
                    tuple(row) for row in connection.execute(sa.text(query), {'id': instance.id})
                ]
                for name, query in queries.items()
            }

    def key_id(self, instance):
        return json.loads(self.guest(instance).exec(['cat', GUEST_KEY_FILE]).output)['id']

    def dropped(self):
        """Messages of all instances that the taskmanagers have dropped."""
        with self.database.read() as connection:
            found = connection.execute(
                sa.text('SELECT COALESCE(SUM(dropped), 0) FROM upgrade_guest_wires')
            )
            return int(found.scalar_one())

    # --- genuine work
    # --------------------------------------------------------------------------------------------

    def check(self, instance, seconds=60):
        """A real check of an upgrade, once it has ended: results by name."""
        status, body = self.call(
            'POST',
            f'/instances/{instance.id}/upgrade-checks',
            {'upgrade_check': {'datastore_version': self.target.name}},
        )
        self.assertEqual(202, status, body)
        path = f'/instances/{instance.id}/upgrade-checks/{body["upgrade_check"]["id"]}'

        def ended():
            found = self.call('GET', path)[1]['upgrade_check']
            return found if found['state'] not in {'PENDING', 'RUNNING'} else None

        found = self.wait_until(ended, 'the end of a check', seconds)
        return {result['name']: result for result in found['results']}

    def assert_works(self, instance):
        """The guest itself has answered: only it knows of its volume's space."""
        results = self.check(instance)
        self.assertNotIn('guest', results)
        self.assertNotIn('forged', results)
        self.assertGreater(len(results), 5, results)

    def call_of(self, instance, **changes):
        """Arguments as of a taskmanager's call."""
        return {
            'instance_id': instance.id,
            'upgrade_id': str(uuid.uuid4()),
            'attempt': 1,
            'generation': 2**40,
            'deadline': '2099-01-01T00:00:00+00:00',
            'target': {'server_version': self.target.name, 'datastore_manager': 'mariadb'},
            'options': {},
            'upgrade_info': {},
            **changes,
        }

    def recorded(self, act, routing_key):
        """What is sent to `routing_key` while `act` is done."""
        self.attack('listen', queue=_SPY, routing_key=routing_key)
        act()
        found = self.attack('heard', queue=_SPY)
        self.attack('forget', queue=_SPY)
        return found

    def requests(self):
        """Genuine sealed requests to the victim, as the attacker has recorded them."""
        queue = attacker.queue_of(self.victim.id)
        found = self.recorded(lambda: self.assert_works(self.victim), queue)
        sealed = [body for body in found if attacker.unpacked(body)['method'] == 'sealed']
        self.assertEqual(len(found), len(sealed), 'the victim was called unsealed')
        self.assertTrue(sealed)
        return sealed

    def restart_agent(self):
        """Start the victim's agent again; returns its reports, as the attacker has recorded
        them.
        """

        def restart():
            before = self.believed_of(self.victim)['keys']
            self.guest(self.victim).exec(['service', 'trove-upgrade-guestagent', 'restart'])
            # the refusal of the first call tells the taskmanager the new session
            self.wait_until(lambda: 'guest' not in self.check(self.victim), 'the new start')
            self.assertNotEqual(before, self.believed_of(self.victim)['keys'])

        found = self.recorded(restart, attacker.TASKMANAGERS)
        return [body for body in found if self.is_report_of_victim(body)]

    def is_report_of_victim(self, body):
        message = attacker.unpacked(body)
        envelope = message['args'].get('envelope') or {}
        return message['method'] == 'sealed' and envelope.get('instance_id') == self.victim.id

    # --- rows
    # ----------------------------------------------------------------------------------------------

    def row(self, act: str, attack: Callable[[], str], *, drops: int = 0):
        """One row: after `attack` all is as it was, and the guest works."""
        with self.listed(act) as row:
            done, believed = self.done_by(self.victim), self.believed_of(self.victim)
            dropped = self.dropped()
            row.outcome = attack()
            self.assertEqual(done, self.done_by(self.victim))
            self.still_works(believed)
            if drops:
                self.wait_until(
                    lambda: self.dropped() >= dropped + drops, f'{drops} counted drops', 90
                )

    def row_of_call(self, act: str, attack: Callable[[], str]):
        """One row of an attack on a genuine call that is under way: nothing of it is believed, and
        the guest works.
        """
        with self.listed(act) as row:
            believed = self.believed_of(self.victim)
            row.outcome = attack()
            self.still_works(believed)

    @contextlib.contextmanager
    def listed(self, act):
        """A row of the table, also where the block fails."""
        row = Row(act)
        self.table.append(row)
        try:
            yield row
        except BaseException:
            row.outcome = f'FAILED ({row.outcome})'
            raise

    def answered(self, results):
        """How a real check ended during an attack on it: nothing of the attacker's is in it."""
        self.assertNotIn('forged', results)
        return 'delay: no answer' if 'guest' in results else 'asked again, and the guest answered'

    def still_works(self, believed):
        self.assert_works(self.victim)
        self.assertEqual(believed, self.believed_of(self.victim))
        self.assert_serves(self.victim, self.former)

    def refused(self, answer, *names):
        """The attacker was told no, in a fixed text, or nothing at all."""
        if answer is None:
            return 'no answer'
        self.assertIn(answer['failure'], names, answer)
        self.assertIsNone(answer['result'])
        return f'refused: {answer["failure"]}'

    def test_root_in_one_guest_can_delay_the_others_and_no_more(self):
        self.unsealed_calls()
        self.sealed_calls()
        self.queues()
        self.answers()
        self.reports()
        self.replays()
        self.never_keyed()
        self.upgrade_beside_a_flood()

    def unsealed_calls(self):
        victim = self.victim
        methods = (
            'check_upgrade',
            'pre_upgrade',
            'abort_upgrade',
            'post_upgrade',
            'finish_upgrade',
        )
        of_1_1 = [(method, '1.1', self.call_of(victim)) for method in methods]
        of_1_0 = [
            ('pre_upgrade', '1.0', {}),
            ('post_upgrade', '1.0', {'upgrade_info': {'upgrade_id': _NOBODY}}),
        ]
        self.row('each call of RPC 1.1 to a guest with a key', lambda: self.unsealed(of_1_1))
        self.row(
            'each call of RPC 1.0 to a guest with a key, by the default exchange',
            lambda: self.unsealed(of_1_0, directly=True),
        )

    def unsealed(self, calls, **more):
        return ', '.join(
            {
                self.refused(
                    self.attack(
                        'call',
                        instance_id=self.victim.id,
                        method=method,
                        version=version,
                        arguments=arguments,
                        **more,
                    ),
                    'GuestSealed',
                )
                for method, version, arguments in calls
            }
        )

    def sealed_calls(self):
        def act():
            found = self.attack(
                'call_sealed',
                instance_id=self.victim.id,
                victims_key_id=self.key_id(self.victim),
                method='pre_upgrade',
                arguments=self.call_of(self.victim),
            )
            return ', '.join(sorted({self.refused(answer, 'NotSealed') for answer in found}))

        self.row('pre_upgrade sealed with the own key, in three names', act)

    def queues(self):
        def cross():
            answer = self.attack('cross_bind', mine=self.mine.id, victim=self.victim.id)
            results = self.check(
                self.victim
            )  # the refusal of the attacker's agent may come before the victim's answer
            self.attack('cross_unbind', mine=self.mine.id, victim=self.victim.id)
            return f'{self.answered(results)}; the exchange declared anew: {answer}'

        self.row_of_call('bind the queues of both guests crosswise; declare the exchange', cross)

        def steal():
            with self.attacking('steal', instance_id=self.victim.id, count=1, seconds=30) as ended:
                results = self.check(self.victim)
                self.assertEqual(1, ended())
            return self.answered(results)

        self.row_of_call("consume the victim's queue", steal)

        for act, title in (
            ('flip', "change a bit of the victim's request"),
            ('redirect', "send the victim's request to the own agent"),
        ):
            more = {} if act == 'flip' else {'mine': self.mine.id}
            self.row_of_call(title, lambda act=act, more=more: self.tampered(act, **more))

    def tampered(self, act, **more):
        done = self.done_by(self.mine)
        with self.attacking(act, instance_id=self.victim.id, seconds=30, **more) as ended:
            results = self.check(self.victim)
            self.assertEqual(1, ended())
        self.assertEqual(done, self.done_by(self.mine))
        return f'{self.answered(results)}; nothing done'

    def answers(self):
        done = guest_domain.GuestAnswer(
            state=guest_domain.JobState.DONE,
            message='forged',
            boot_id='forged',
            server_state=guest_domain.ServerState.STOPPED,
            agent_version='forged',
            result={'checks': [_FORGED_CHECK]},
        ).to_wire()
        unsupported = {
            'class': 'UnsupportedVersion',
            'module': 'oslo_messaging.rpc.client',
            'message': 'forged',
            'tb': [],
            'args': ['1.2'],
            'kwargs': {},
        }
        for title, forged in (
            ('DONE, unsealed', {'kind': 'result', 'result': done}),
            (
                "DONE, in an envelope under the own key with the key's id",
                {'kind': 'sealed', 'content': done},
            ),
            ('UnsupportedVersion', {'kind': 'failure', 'failure': unsupported}),
            (
                'another error',
                {
                    'kind': 'failure',
                    'failure': {**unsupported, 'class': 'ValueError', 'module': 'builtins'},
                },
            ),
        ):
            self.row_of_call(
                f"answer in the victim's name: {title}", lambda forged=forged: self.forged(forged)
            )

        def late():
            self.attack('reply_to', bodies=self.requests(), result=done)
            return 'dropped by oslo.messaging'

        self.row_of_call('answers to calls that are over or never were, into the reply queue', late)

    def forged(self, forged):
        queue = attacker.queue_of(self.victim.id)
        self.attack('listen', queue=_SPY, routing_key=queue)
        with self.attacking(
            'answer', instance_id=self.victim.id, forged=forged, count=1, seconds=30
        ) as ended:
            results = self.check(self.victim)
            self.assertEqual(1, ended())
        sent = [attacker.unpacked(body) for body in self.attack('heard', queue=_SPY)]
        self.attack('forget', queue=_SPY)
        self.assertEqual({('sealed', '1.2')}, {(one['method'], one['version']) for one in sent})
        return f'{self.answered(results)}; no call of an older version'

    def reports(self):
        heartbeat = {**_FORGED_HEARTBEAT, 'instance_id': self.victim.id}

        def unsealed():
            for directly in (False, True):
                self.attack(
                    'cast',
                    method='heartbeat',
                    version='1.1',
                    arguments={'heartbeat': heartbeat},
                    directly=directly,
                )
            return 'dropped, counted'

        self.row('heartbeat of RPC 1.1 as the victim, by both exchanges', unsealed, drops=2)
        self.row(
            'heartbeat as the victim, sealed with the own key, in three names',
            lambda: (
                self.attack(
                    'report_sealed',
                    instance_id=self.victim.id,
                    victims_key_id=self.key_id(self.victim),
                    heartbeat=_FORGED_HEARTBEAT,
                )
                and 'dropped, counted'
            ),
            drops=2,
        )

    def replays(self):
        requests = self.requests()
        self.row('a recorded request, at once', lambda: self.replayed(requests))
        first = self.restart_agent()
        self.row(
            "a recorded request, after a restart of the victim's agent",
            lambda: self.replayed(requests),
        )
        self.assertTrue(first)
        self.row(
            'recorded reports, at once',
            lambda: self.attack('replay_reports', bodies=first) or 'dropped',
        )
        self.restart_agent()
        self.row(
            "recorded reports, after a restart of the victim's agent",
            lambda: (
                self.attack('replay_reports', bodies=first) or 'dropped; the guest itself is asked'
            ),
        )

    def replayed(self, requests):
        for answer in self.attack('replay', instance_id=self.victim.id, bodies=requests):
            if answer is not None:  # sealed: the attacker cannot read that it is a refusal
                self.assertEqual(
                    {'instance_id', 'key_id', 'nonce', 'box'}, set(answer['result'] or ()), answer
                )
        return 'refused, in an envelope'

    def never_keyed(self):
        """The page on security tells of these; none of it is stopped."""
        victim = self.unkeyed
        answer = self.attack(
            'call',
            instance_id=victim.id,
            method='check_upgrade',
            version='1.1',
            arguments=self.call_of(victim, generation=0),
            seconds=15,
        )
        self.assertIsNone(answer['failure'], answer)
        self.table.append(
            Row('check_upgrade of RPC 1.1 to a guest that never had a key', 'CARRIED OUT')
        )
        self.attack(
            'cast',
            method='heartbeat',
            version='1.1',
            arguments={'heartbeat': {**_FORGED_HEARTBEAT, 'instance_id': victim.id}},
        )
        self.wait_until(
            lambda: self.believed_of(victim)['guest'][0][0] == 'forged-boot', 'the false heartbeat'
        )
        self.table.append(Row('heartbeat of RPC 1.1 as a guest that never had a key', 'BELIEVED'))

    def upgrade_beside_a_flood(self):
        requests, reports = self.requests(), self.restart_agent()
        with self.attacking(
            'flood',
            instance_id=self.victim.id,
            victims_key_id=self.key_id(self.victim),
            heartbeat=_FORGED_HEARTBEAT,
            requests=requests,
            reports=reports[:3],
            per_second=_PER_SECOND,
            seconds=_FLOOD_SECONDS,
        ) as ended:
            before = self.key_id(self.victim)
            upgrade = self.upgrade(self.victim)
            self.guest(self.mine).exec(['touch', str(attacker.STOP)])
            sent = ended()
        self.assertEqual('COMPLETED', upgrade['state'], upgrade)
        self.assert_serves(self.victim, self.target)
        after = self.key_id(self.victim)
        self.assertNotEqual(before, after)
        self.assertEqual([after], [key[0] for key in self.believed_of(self.victim)['keys']])
        log = (
            self.guest(self.victim)
            .exec(['sh', '-c', 'cat /var/log/trove/trove-upgrade-guestagent.log'])
            .output
        )
        self.assertIn('Messages were dropped', log)
        self.assertLess(log.count('Messages were dropped'), 60)
        self.table.append(Row(f'all of it, {sent} acts, beside an upgrade', 'COMPLETED'))

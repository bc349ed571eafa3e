# SPDX-License-Identifier: Apache-2.0
"""An agent that knows RPC 1.0 alone and answers with what is to become configuration of the next
root disk: over real messages.
"""

import oslo_messaging

from trove_upgrade.domain import guests
from trove_upgrade.rpc import guestagent, transport
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.rpc.test_rpc import CALL, configuration

UUID = '0b5e8c52-9f3c-4c5e-8d5e-2f1d6a7b8c9d'
#: What was meant -> facts that are refused.
HOSTILE = {
    'a line of its own': {'volume_uuid': f'{UUID}\ntransport_url = rabbit://evil'},
    'a carriage return': {'volume_uuid': f'{UUID}\rtransport_url = rabbit://evil'},
    'a line separator': {'volume_uuid': f'{UUID}\u2028x = y'},
    'a next line': {'volume_uuid': f'{UUID}\x85x = y'},
    'a line end alone': {'volume_uuid': f'{UUID}\n'},
    'no text as a UUID': {'volume_uuid': [UUID]},
    'a path as a UUID': {'volume_uuid': '../../etc'},
    'a path as a stash': {'stash': '../../etc'},
    'a terminal escape in what is kept': {'more': '\x1b[2J'},
    'a terminal escape in a name': {'\x1b[2J': 'x'},
    'a line end deep in what is kept': {'more': {'a': ['b\nc']}},
    'a schema with fields that are missing': {'schema': 1, 'volume_uuid': UUID},
    'a schema of truth': {'schema': True},
    'a long text': {'more': 'x' * 5000},
    'much': {'more': ['x' * 4000] * 40},
    'deep': {'more': [[[[[[['x']]]]]]]},
    'a list': ['stash', 's'],
    'a text': 'stash',
    'a number': 7,
}


class _Agent:
    target = oslo_messaging.Target(version='1.0')

    def __init__(self):
        self.facts = None
        self.restored = []

    def pre_upgrade(self, context):
        return self.facts

    def post_upgrade(self, context, upgrade_info):
        self.restored.append(upgrade_info)


class TestFactsOfAnAgentOf10(base.TestCase):
    def setUp(self):
        super().setUp()
        conf = configuration(
            f'fake://{self.id()}', guest_call_timeout=5, guest_topic_prefix='guestagent.'
        )
        shared = transport.get_transport(conf)
        self.agent = _Agent()
        server = transport.get_server(shared, transport.guest_target(conf, 'i1'), [self.agent])
        server.start()
        self.addCleanup(server.wait)
        self.addCleanup(server.stop)
        self.api = guestagent.GuestAgentAPI.from_conf(conf, shared)

    def quiesced(self, facts):
        self.agent.facts = facts
        return self.api.pre_upgrade(CALL)

    def test_hostile_ones_end_the_step_and_nothing_of_them_is_kept(self):
        for name, facts in HOSTILE.items():
            with self.subTest(name):
                answer = self.quiesced(facts)
                self.assertEqual(
                    (guests.JobState.FAILED, 'UPGRADE_INFO_INVALID'), (answer.state, answer.code)
                )
                self.assertEqual({}, dict(answer.result))
                self.assertTrue(answer.message.isprintable())
                self.assertLess(len(answer.message), 1000)
                self.assertNotIn('evil', answer.message)

    def test_others_are_kept_as_they_are(self):
        for facts in (
            {'volume_uuid': UUID},
            {'stash': 'stash-s', 'more': {'a': [1, 2.5, None, True, 'ö']}},
            {},
        ):
            answer = self.quiesced(facts)
            self.assertEqual(
                (guests.JobState.DONE, facts), (answer.state, answer.result['upgrade_info'])
            )

    def test_none_are_none(self):
        self.assertEqual({}, self.quiesced(None).result['upgrade_info'])

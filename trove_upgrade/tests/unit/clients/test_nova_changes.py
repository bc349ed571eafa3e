# SPDX-License-Identifier: Apache-2.0
"""Changed servers of all projects through the real python-novaclient, against HTTP on loopback."""

import datetime
import email.utils
import urllib.parse

from trove_upgrade.clients.nova_changes import NovaChanges
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.server_changes import Glance
from trove_upgrade.tests.fakes import FakeClock
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.clients import cloud

DETAIL = '/v2.1/servers/detail'


class TestNovaChanges(base.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(cloud.Cloud())
        self.clock = FakeClock()
        self.changes = NovaChanges.from_conf(self.cloud.conf(), self.clock.now)

    def answers(self, *pages, status=200, **headers):
        """Each look gets these pages, joined by links as Nova's are."""

        def answer(query):
            marker = urllib.parse.parse_qs(query).get('marker', ['0'])[0]
            number = int(marker)
            link = {'rel': 'next', 'href': f'http://nova{DETAIL}?limit=1&marker={number + 1}'}
            links = {'servers_links': [link]} if number + 1 < len(pages) else {}
            return status, {'servers': pages[number], **links}, headers

        self.cloud.answers['GET', DETAIL] = answer

    def since(self):
        """Moments from which on each request asked for changes."""
        return [
            datetime.datetime.fromisoformat(urllib.parse.parse_qs(query)['changes-since'][0])
            for query in self.cloud.queries('GET', DETAIL)
        ]

    def test_are_those_of_all_projects_with_their_marker_and_deleted_ones_too(self):
        gone = {'id': 'gone', 'status': 'DELETED'}
        self.cloud.server.update(
            {'status': 'REBUILD', 'OS-EXT-STS:task_state': 'rebuilding', 'metadata': {'a': 'b'}}
        )
        self.answers([self.cloud.server, gone])
        self.assertEqual(
            {
                cloud.SERVER: Glance('REBUILD', 'rebuilding', {'a': 'b'}),
                'gone': Glance('DELETED', None, {}),
            },
            self.changes.recent(),
        )
        [query] = self.cloud.queries('GET', DETAIL)
        self.assertEqual(['1'], urllib.parse.parse_qs(query)['all_tenants'])

    def test_of_several_pages_are_read_by_nova_s_own_links_and_not_without_end(self):
        pages = [[{'id': f's{number}', 'status': 'ACTIVE'}] for number in range(9)]
        self.answers(*pages[:3])
        self.assertEqual({'s0', 's1', 's2'}, self.changes.recent().keys())
        self.assertEqual(3, len(self.since()))
        self.answers(*pages)
        self.assertEqual(5, len(self.changes.recent()))

    def test_whose_next_page_begins_at_a_server_that_has_gone_are_asked_for_again(self):
        theirs = self.clock.now() - datetime.timedelta(hours=3)
        date = {'Date': email.utils.format_datetime(theirs, usegmt=True)}
        self.answers([], **date)
        self.changes.recent()
        self.answers([{'id': 's0', 'status': 'ACTIVE'}], [], **date)
        whole = self.cloud.answers['GET', DETAIL]
        self.cloud.answers['GET', DETAIL] = lambda query: (
            (400, {'badRequest': {'message': 'marker [1] not found'}}, {})
            if 'marker' in query
            else whole(query)
        )
        self.assertEqual({'s0'}, self.changes.recent().keys())
        self.assertEqual({'s0'}, self.changes.recent().keys())
        self.assertEqual(1, len(set(self.since()[1:])))

    def test_are_asked_for_by_nova_s_clock_from_a_while_before_the_look_before(self):
        theirs = self.clock.now() - datetime.timedelta(hours=3)
        self.answers([], Date=email.utils.format_datetime(theirs, usegmt=True))
        self.changes.recent()
        self.clock.pass_time(600)
        self.changes.recent()
        first, second = self.since()
        overlap = datetime.timedelta(seconds=15)
        self.assertEqual(
            (self.clock.now() - datetime.timedelta(seconds=600) - overlap, theirs - overlap),
            (first, second),
        )

    def test_of_a_look_that_failed_are_asked_for_again(self):
        theirs = self.clock.now() - datetime.timedelta(hours=3)
        self.answers([], Date=email.utils.format_datetime(theirs, usegmt=True))
        self.changes.recent()
        self.cloud.answers['GET', DETAIL] = (503, {}, {'Date': 'Mon, 01 Jan 2035 00:00:00 GMT'})
        self.assertRaises(exceptions.ComputeUnavailable, self.changes.recent)
        self.answers([])
        self.changes.recent()
        self.assertEqual(1, len(set(self.since()[1:])))

    def test_that_this_login_may_not_list_are_none(self):
        for status in (403, 400):
            self.cloud.answers['GET', DETAIL] = (status, {})
            self.assertIsNone(self.changes.recent())

    def test_in_an_answer_of_another_form_are_no_answer(self):
        for document in ({}, {'servers': [{'id': 'x'}]}, {'servers': None}, []):
            self.cloud.answers['GET', DETAIL] = (200, document)
            self.assertRaises(exceptions.ComputeUnavailable, self.changes.recent)

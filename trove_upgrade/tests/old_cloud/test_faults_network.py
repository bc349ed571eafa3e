# SPDX-License-Identifier: Apache-2.0
"""Faults of Neutron while a port is opened and closed, and other clients that change it meanwhile.

A fault that passes is waited for: the run goes on by itself.
"""

import contextlib
import dataclasses
import re

from lab.errors import CommandFailed
from lab.service_proxy import Fault
from trove_upgrade.tests.old_cloud.faults_case import FaultsTestCase
from trove_upgrade.tests.old_cloud.faulty_neutron import (
    REGION,
    REQUESTS,
    faulty_region,
    neutron_error,
)

BY_NAME = {one.name: one for one in REQUESTS}
GROUP_FOR_PORT = BY_NAME['the group for the port']
FORMER_FOR_PORT = BY_NAME['the former groups for the port']
DELETION = BY_NAME['the deletion of the group']
#: Faults that pass: none is a fact of the instance.  These are tried at each request.
PASSING = (
    Fault(action='refuse', status=500, answer=neutron_error('HTTPInternalServerError')),
    Fault(action='refuse', status=429, answer='Too Many Requests', retry_after='2'),
    Fault(action='drop_answer'),
    Fault(action='accept_then_status', status=504, answer='Gateway Timeout'),
)
#: These are told apart from those above by no code of ours: one request is enough.
ALIKE = (
    Fault(action='refuse', status=503, answer='<html>no server is available</html>'),
    Fault(action='refuse', status=429, answer='Too Many Requests'),
)


def meeting(request, fault, **changes):
    """The fault, for one kind of request."""
    fields = {'method': request.method, 'path': request.path, 'body': request.body, **changes}
    return dataclasses.replace(fault, **fields)


class NeutronTestCase(FaultsTestCase):
    def setUp(self):
        super().setUp()
        self.proxy = self.enterContext(faulty_region(self.handle))
        self.configured(f'[service_credentials]\nregion_name = {REGION}\n')
        self.neutron = f'{self.handle.neutron_url}/v2.0'

    def reached(self):
        self.bridge_at_work = self.begin('reach', '--instance', self.instance.id)
        return self.bridge_at_work.wait_ended()

    def port(self):
        return self.admin.request(
            'GET', f'{self.neutron}/ports?device_id={self.instance.server_id}'
        )['ports'][0]

    def at(self, request, act, *, is_logged_in=False):
        """Call `act` once, before the request reaches Neutron; or the first such after a login."""

        def before(method, path, body):
            if is_logged_in and 'reach: Logged in' not in self.bridge_at_work.output:
                return
            if (
                re.fullmatch(request.method, method)
                and re.search(request.path, path)
                and re.search(request.body, body)
            ):
                self.proxy.before = lambda method, path, body: None
                act()

        self.proxy.before = before


class TestFaultsThatPass(NeutronTestCase):
    def test_each_kind_at_each_request_is_waited_for_and_the_run_ends_well(self):
        tried = [(fault, REQUESTS) for fault in PASSING]
        for fault, requests in (*tried, *((fault, [GROUP_FOR_PORT]) for fault in ALIKE)):
            name = f'{fault.action} {fault.status} {fault.retry_after}'
            with self.subTest(name):
                for request in requests:
                    self.proxy.faults.add(meeting(request, fault))
                ended = self.reached()
                self.assertEqual([], self.proxy.faults.left(), 'each request was met')
                self.assertEqual(0, ended.code, ended.output)
                self.assert_line(ended.run_id, 'COMPLETED', None)
                self.assertIn('Asked again for', ended.output)
                self.assert_closed()
                self.assert_as_before()

    def test_a_port_that_another_client_writes_at_the_same_time_is_read_again(self):
        fault = Fault(
            action='refuse', status=412, answer=neutron_error('RevisionNumberConstraintFailed')
        )
        for request in (GROUP_FOR_PORT, FORMER_FOR_PORT):
            self.proxy.faults.add(meeting(request, fault, count=3))
        ended = self.reached()
        self.assertEqual([], self.proxy.faults.left())
        self.assertEqual(0, ended.code, ended.output)
        self.assert_closed()
        self.assert_as_before()

    def test_one_at_the_inventory_begins_no_run_and_tells_to_try_again(self):
        [fault, *_] = PASSING
        self.proxy.faults.add(dataclasses.replace(fault, method='GET', path=r'/ports\?'))
        begun = self.begin('reach', '--all')
        begun.process.wait(120)
        self.assertIsNone(begun.run_id)
        self.assertIn('NETWORK_UNAVAILABLE', begun.output)
        self.assertIn('try again', begun.output)
        self.assert_is_reached()


class TestRefusals(NeutronTestCase):
    def test_a_conflict_is_told_in_neutrons_words_and_leaves_nothing(self):
        fault = Fault(action='refuse', status=409, answer=neutron_error('Conflict', 'its reason'))
        for request in REQUESTS[1:6]:
            if request.method == 'GET':
                continue
            with self.subTest(request.name):
                self.proxy.faults.add(meeting(request, fault))
                ended = self.reached()
                self.assert_failed(ended, 'NETWORK_REFUSED', 'its reason', 'Mend the cause')
        self.assert_is_reached()

    def test_a_port_that_is_written_without_end_is_given_up(self):
        fault = Fault(
            action='refuse', status=412, answer=neutron_error('RevisionNumberConstraintFailed')
        )
        self.proxy.faults.add(meeting(GROUP_FOR_PORT, fault, count=-1))
        ended = self.reached()
        self.assert_failed(ended, 'PORT_CHANGED', self.port()['id'], 'Find out what changes it')
        self.proxy.faults.clear()
        self.assert_is_reached()

    def test_a_group_that_cannot_be_deleted_is_left_to_a_taskmanager_and_told(self):
        fault = Fault(
            action='refuse', status=409, answer=neutron_error('SecurityGroupInUse', 'in use')
        )
        self.proxy.faults.add(meeting(DELETION, fault, count=-1))
        ended = self.reached()
        self.assertIn('GROUP_IN_USE', ended.output)
        self.assert_line(ended.run_id, 'FAILED', 'GROUP_IN_USE', 'a taskmanager does it')
        self.wait_until(lambda: not self.ours(), 'a taskmanager to close the port', 120)
        self.assert_closed()
        self.assert_as_before()
        self.proxy.faults.clear()
        self.assert_is_reached()

    def test_a_quota_that_is_exhausted_names_the_project_and_what_to_raise(self):
        project = self.instance.network.project_id
        quota = f'{self.neutron}/quotas/{project}'
        has = self.admin.request('GET', f'{self.neutron}/security-groups?project_id={project}')
        self.addCleanup(self.without_quota, quota)
        self.admin.request('PUT', quota, {'quota': {'security_group': len(has['security_groups'])}})
        ended = self.reached()
        self.assert_failed(ended, 'GROUP_QUOTA_EXHAUSTED', project, 'security groups by one')
        self.without_quota(quota)
        self.assert_is_reached()

    def without_quota(self, quota):
        with contextlib.suppress(CommandFailed):  # it has none any more
            self.admin.request('DELETE', quota)


class TestOtherClients(NeutronTestCase):
    def write_groups(self, groups):
        self.admin.request(
            'PUT',
            f'{self.neutron}/ports/{self.port()["id"]}',
            {'port': {'security_groups': sorted(groups)}},
        )

    def take_ours_away(self, *, deletes):
        port = self.port()
        ours = self.ours()
        self.write_groups(set(port['security_groups']) - ours)
        for group in ours if deletes else ():
            self.admin.request('DELETE', f'{self.neutron}/security-groups/{group}')

    def test_our_group_that_is_deleted_before_it_is_used_is_told(self):
        def delete():
            for group in self.ours():
                self.admin.request('DELETE', f'{self.neutron}/security-groups/{group}')

        self.at(GROUP_FOR_PORT, delete)
        ended = self.reached()
        self.assert_failed(ended, 'GROUP_GONE', 'another client of the project has deleted it')
        self.assert_is_reached()

    def test_our_group_that_is_taken_from_the_port_closes_the_way_and_the_line_names_it(self):
        for deletes in (False, True):
            with self.subTest(deletes=deletes):
                self.at(
                    BY_NAME['the groups of the bridge'],
                    lambda deletes=deletes: self.take_ours_away(deletes=deletes),
                    is_logged_in=True,
                )
                ended = self.reached()
                self.assertEqual(0, ended.code, ended.output)
                self.assert_closed()
                self.assert_as_before()

    def test_a_group_that_another_client_adds_meanwhile_stays_and_is_told(self):
        project = self.instance.network.project_id
        made = self.admin.request(
            'POST',
            f'{self.neutron}/security-groups',
            {'security_group': {'name': 'of another client', 'project_id': project}},
        )['security_group']['id']
        self.addCleanup(self.admin.request, 'DELETE', f'{self.neutron}/security-groups/{made}')
        former = set(self.port()['security_groups'])
        self.addCleanup(self.write_groups, former)
        self.at(
            BY_NAME['the ports with the group'],
            lambda: self.write_groups({*self.port()['security_groups'], made}),
            is_logged_in=True,
        )
        ended = self.reached()
        self.assertEqual(0, ended.code, ended.output)
        self.assertIn('another client changed them while it was open', ended.output)
        self.assertEqual({*former, made}, set(self.port()['security_groups']))
        self.assert_closed()

# SPDX-License-Identifier: Apache-2.0
"""An operator's view of real upgrades: figures, drift, and explanations."""

import json
import socket
import urllib.request

from prometheus_client import parser

from lab import publishing
from trove_upgrade.tests.functional.cloud.actions_case import ActionsCase
from trove_upgrade.tests.functional.cloud.configured_case import ConfiguredCase


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as taken:
        return taken.getsockname()[1]


class TestFigures(ActionsCase, ConfiguredCase):
    def setUp(self):
        self.options = {'metrics_bind': f'127.0.0.1:{free_port()}'}
        super().setUp()

    def ask(self, url):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=10) as answer:
            return answer.status, answer.read().decode()

    def figures(self):
        """The value of each sample, by its name and labels."""
        _, text = self.ask(f'http://{self.options["metrics_bind"]}/metrics')
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in parser.text_string_to_metric_families(text)
            for sample in family.samples
        }

    def test_an_upgrade_and_one_that_was_aborted_are_counted(self):
        instance = self.create_written('counted')
        with self.busy_database(instance):
            aborted = self.begin(instance)
            self.until_step(aborted, 'quiesce', 'waiting for running statements')
            self.act(aborted, 'abort')
        self.until_end(aborted)
        completed = self.until_end(self.begin(instance))
        self.assertEqual('COMPLETED', completed['state'], completed)

        found = self.figures()

        for state in ('ABORTED', 'COMPLETED'):
            ended = ('trove_upgrade_attempts_ended_total', ('state', state))
            self.assertEqual(1, found[ended], state)
            self.assertGreaterEqual(found['trove_upgrade_upgrades', ('state', state)], 1)
        self.assertEqual(1, found['trove_upgrade_database_up',])
        self.assertEqual(0, found['trove_upgrade_lease_takeovers_total',])
        seconds = found['trove_upgrade_downtime_seconds_sum', ('state', 'COMPLETED')]
        self.assertAlmostEqual(completed['downtime_seconds'], seconds, places=1)
        done = [key for key in found if key[0] == 'trove_upgrade_step_seconds_count']
        steps = {dict(key[1:])['step'] for key in done if ('outcome', 'done') in key}
        self.assertEqual({run['step'] for run in completed['steps']}, steps)
        self.assertEqual(200, self.ask(f'{self.product.url}/healthcheck')[0])
        document = json.loads(self.ask(f'{self.product.url}/openapi.json')[1])
        self.assertIn('/{project_id}/upgrades/{upgrade_id}/action', document['paths'])


class TestDrift(ActionsCase):
    def listed(self, instance, *words):
        status, found = self.openstack('drift', '--project', self.project_id, *words, user='admin')
        self.assertEqual(0, status)
        return next((one for one in found if one['Instance ID'] == instance.id), None)

    def test_an_instance_whose_image_nova_tells_has_drifted_until_it_is_upgraded(self):
        instance = self.create_instance('drifted')
        self.product.manage('instance', 'drift', '--ask-nova')
        self.assertIsNone(self.listed(instance))
        self.repoint(self.former, self.target.image_id)
        self.addCleanup(self.repoint, self.former, self.former.image_id)
        drifted = self.listed(instance)
        self.assertEqual(
            (self.former.image_id, self.target.image_id),
            (drifted['Booted Image ID'], drifted['Current Image ID']),
        )
        figures = self.openstack('drift', user='admin')[1]
        (of_project,) = [one for one in figures if one['Project ID'] == self.project_id]
        self.assertGreaterEqual(of_project['Drifted'], 1)
        self.assertEqual('COMPLETED', self.upgrade(instance)['state'])
        self.assertIsNone(self.listed(instance))

    def repoint(self, version, image_id):
        publishing.point(self.product, version.datastore, version.name, version.name, image_id)


class TestExplained(ActionsCase):
    def explained(self, upgrade):
        return json.loads(self.product.manage('upgrade', 'explain', '--json', upgrade['id']))

    def test_one_that_waits_for_nova_tells_so_and_what_can_be_done(self):
        instance = self.create_written('explained')
        with self.busy_database(instance):
            upgrade = self.begin(instance)
            self.until_step(upgrade, 'quiesce', 'waiting for running statements')
            running = self.explained(upgrade)
            self.assertEqual('alive', running['lease']['holder'] or 'alive')
            self.assertIn('waiting for running statements', running['waits_for'])
            allowed = {one['action']: one['allowed'] for one in running['actions']}
            self.assertEqual(
                {'abort': True, 'proceed': False, 'retry': False, 'rollback': False}, allowed
            )
            self.product.manage('upgrade', 'abort', upgrade['id'])
            self.assertIn('undoes', self.explained(upgrade)['next'])
        self.assertEqual('ABORTED', self.until_end(upgrade)['state'])
        self.assertIn('ended', self.explained(upgrade)['next'])

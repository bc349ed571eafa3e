# SPDX-License-Identifier: Apache-2.0
import contextlib
import dataclasses
import datetime
import io
import json
import logging
import pathlib
import re
import socket
import subprocess

import fixtures
import sqlalchemy as sa

from trove_upgrade.cmd import manage
from trove_upgrade.cmd.manage import context, service
from trove_upgrade.db import models
from trove_upgrade.db.migrations.chain import MAIN
from trove_upgrade.db.process_table import TABLE
from trove_upgrade.db.release import RELEASE
from trove_upgrade.db.services import Registration
from trove_upgrade.domain import compute, exceptions, holds
from trove_upgrade.domain.instances import Task
from trove_upgrade.domain.states import UpgradeState
from trove_upgrade.tests.functional.schema import schemas
from trove_upgrade.tests.unit import base, database, stored
from trove_upgrade.tests.unit.db.migrations import waiting
from trove_upgrade.tests.unit.domain import test_downtime, test_notes

SERVER_ID = '00000000-0000-4000-8000-00000000cccc'


class OneServer:
    """Nova with one server."""

    def flavor_id(self, server_id):
        return 'flavor-of-nova'

    def server(self, server_id):
        if server_id != SERVER_ID:
            raise exceptions.ServerNotFound(server_id=server_id)
        return compute.Server(
            id=server_id,
            name='guest',
            status='ACTIVE',
            task_state=None,
            image_id='booted-image',
            locked=False,
            metadata={},
            user_data=None,
            fault=None,
            flavor_ram_mb=1,
            flavor_disk_gb=1,
            host='h',
        )


class TwoPages:
    """Nova's images of all servers."""

    def images(self):
        yield {database.SERVER: 'booted-image'}
        yield {SERVER_ID: 'booted-image'}


class ManageTestCase(base.TestCase):
    sample = True

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        url = f'sqlite:///{self.folder}/db.sqlite?timeout=60'
        self.conf = self.folder / 'trove-upgrade.conf'
        self.conf.write_text(f'[database]\nconnection = {url}\n')
        if self.sample:
            self.db = self.useFixture(database.SampleDatabase(url))
            self.repos = self.db.repositories

    def run_tool(self, *arguments, code=0):
        """What it printed; on stderr where it is to fail."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            ended = manage.main(
                ['--config-file', str(self.conf), *arguments],
                outside=context.Outside(
                    compute=lambda _conf: OneServer(),
                    server_images=lambda _conf: TwoPages(),
                ),
            )
        self.assertEqual(code, ended, err.getvalue())
        return err.getvalue() if code else out.getvalue()

    def file(self, content):
        path = self.folder / 'input.json'
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)


class TestSchema(ManageTestCase):
    sample = False

    def test_an_empty_database_is_synced_and_says_how_far_it_is(self):
        self.assertEqual('none\n', self.run_tool('db', 'version'))
        self.assertIn(f'no: {MAIN.head("expand")}', self.run_tool('db', 'current'))
        self.run_tool('db', 'sync', '--standalone')
        self.assertEqual(f'{schemas.NEWEST}\n', self.run_tool('db', 'version'))
        self.assertIn('standalone  aurora_standalone01  yes', self.run_tool('db', 'current'))
        self.run_tool('upgrade', 'list')

    def test_one_branch_is_upgraded_alone(self):
        self.assertIn(f'no: {MAIN.head("contract")}', self.run_tool('db', 'upgrade', 'expand@head'))
        self.run_tool('db', 'upgrade', 'standalone@head')
        self.assertIn('standalone@head', self.run_tool('db', 'upgrade', 'nothing@head', code=2))

    def test_a_missing_schema_names_the_command_that_makes_it(self):
        self.assertIn('db sync', self.run_tool('upgrade', 'list', code=1))

    def test_no_connection_is_an_error_that_says_so(self):
        self.conf.write_text('[database]\n')
        message = self.run_tool('db', 'version', code=1)
        self.assertIn('DATABASE_REFUSED', message)
        self.assertIn(f'it is not set in {self.conf}', message)

    def test_a_server_that_is_away_is_told_at_once_in_words_that_name_the_option(self):
        self.conf.write_text(
            '[database]\nconnection = mysql+pymysql://u:p@127.0.0.1:1/d\nmax_retries = '
            '-1\nretry_interval = 60\n'
        )
        for words in (('upgrade', 'list'), ('db', 'version')):
            message = self.run_tool(*words, code=1)
            self.assertIn('[database] connection', message)
            self.assertEqual(1, message.count('ERROR DATABASE_ERROR'), message)
            self.assertFalse(
                logging.getLogger('oslo_db.sqlalchemy.engines').isEnabledFor(logging.WARNING),
                'attempts are not counted',
            )

    def test_a_server_that_does_not_answer_is_an_error_without_its_password(self):
        self.conf.write_text(
            '[database]\nconnection = '
            f'mysql+pymysql://u:very-secret@localhost/d?unix_socket={self.folder}/none\n'
            'max_retries = 0\n'
        )
        message = self.run_tool('db', 'version', code=1)
        self.assertIn('DATABASE_ERROR', message)
        self.assertNotIn('very-secret', message)


class TestUsage(ManageTestCase):
    sample = False

    def test_unknown_commands_and_missing_words_are_usage_errors(self):
        for arguments in (
            (),
            ('nothing',),
            ('db',),
            ('upgrade', 'show'),
            ('instance', 'register', 'x'),
        ):
            self.assertIn('usage:', self.run_tool(*arguments, code=2))

    def test_a_configuration_file_that_is_missing_is_a_usage_error(self):
        self.conf = self.folder / 'nothing.conf'
        self.assertIn('nothing.conf', self.run_tool('db', 'version', code=2))

    def test_help_ends_well(self):
        self.assertIn('datastore_version_update', self.run_tool('--help'))


class TestVersions(ManageTestCase):
    def version(self, name, datastore='mariadb'):
        return self.repos.datastores.version(self.repos.datastores.get(datastore).id, name)

    def test_victorias_form_has_the_tags_as_a_word(self):
        self.run_tool(
            'datastore_version_update',
            'mariadb',
            '12.0',
            'mariadb',
            'image',
            'trove,mariadb',
            'packages',
            '1',
            '--version',
            '12.0.1',
        )
        found = self.version('12.0')
        self.assertEqual(
            ('12.0.1', 'image', ('trove', 'mariadb'), 'packages', True),
            (found.number, found.image_id, found.image_tags, found.packages, found.active),
        )

    def test_todays_form_has_the_tags_as_an_option(self):
        self.run_tool(
            'datastore_version_update',
            'postgresql',
            '15',
            'postgresql',
            '',
            '',
            '0',
            '--image-tags',
            'a,b',
        )
        found = self.version('15', 'postgresql')
        self.assertEqual(
            (None, ('a', 'b'), False, '15'),
            (found.image_id, found.image_tags, found.active, found.number),
        )

    def test_options_may_stand_first(self):
        self.run_tool(
            'datastore_version_update',
            '--version',
            '12.0.1',
            '--image-tags',
            'a',
            'mariadb',
            '12.0',
            'mariadb',
            'i',
            '',
            '1',
        )
        self.assertEqual('12.0.1', self.version('12.0').number)

    def test_words_that_do_not_fit_are_usage_errors_and_write_nothing(self):
        start = ('datastore_version_update', 'mariadb', '12.0', 'mariadb')
        for words in (
            ('image', '1'),
            ('image', 'a', 'b', 'c', '1'),
            ('image', '', 'yes'),
            ('', '', '1'),
            ('image', 'tags', '', '1', '--image-tags', 'x'),
        ):
            self.run_tool(*start, *words, code=2)
        self.assertRaises(exceptions.DatastoreVersionNotFound, self.version, '12.0')

    def test_repointing_names_the_instances_that_run_an_older_image(self):
        answer = self.run_tool(
            'datastore_version_update', 'mariadb', '10.11.14', 'mariadb', 'newer', '', '', '1'
        )
        self.assertIn('2 of its instances run an older image', answer)
        self.assertIn(f'{database.INSTANCE}  db1', answer)
        self.assertIn(database.IMAGE_10_11, answer)

    def test_the_default_version_is_set_and_an_inactive_one_refused(self):
        self.run_tool('datastore_update', 'mariadb', '11.8.6')
        self.assertEqual(
            database.MARIADB_11_8, self.repos.datastores.get('mariadb').default_version_id
        )
        self.assertIn(
            'DATASTORE_VERSION_INACTIVE',
            self.run_tool('datastore_update', 'mariadb', '11.8.0', code=1),
        )
        self.run_tool('datastore_update', 'new', '')
        self.assertIsNone(self.repos.datastores.get('new').default_version_id)

    def test_validation_rules_are_loaded(self):
        rules = {
            'configuration-parameters': [
                {'name': 'a', 'restart_required': False, 'type': 'integer', 'max': 5, 'min': 0},
                {'name': 'b', 'restart_required': True, 'type': 'string'},
            ]
        }
        self.run_tool('db_load_datastore_config_parameters', 'mariadb', '11.8.6', self.file(rules))
        self.assertEqual(
            ['a', 'b'], self.repos.datastores.configuration_parameters(database.MARIADB_11_8)
        )

    def test_files_of_another_form_are_refused_in_words(self):
        for content in ('{', '[]', '{}', '{"configuration-parameters": [{"name": "a"}]}'):
            self.assertIn(
                'FILE_INVALID',
                self.run_tool(
                    'db_load_datastore_config_parameters',
                    'mariadb',
                    '11.8.6',
                    self.file(content),
                    code=1,
                ),
            )
        self.assertIn(
            'FILE_INVALID',
            self.run_tool('datastore_version_facts', 'mariadb', '11.8.6', self.file('[]'), code=1),
        )
        self.assertIn(
            'FILE_INVALID',
            self.run_tool('datastore_version_facts', 'mariadb', '11.8.6', '/nowhere/x', code=1),
        )

    def test_facts_that_name_no_container_image_are_refused(self):
        for image in ('a:b:c', 'a b', ['a:1'], 'a@sha256:0f'):
            refused = self.run_tool(
                'datastore_version_facts',
                'mariadb',
                '11.8.6',
                self.file({'container_image': image}),
                code=1,
            )
            self.assertIn('FILE_INVALID', refused)
            self.assertIn('container_image is no name of an image', refused)
        self.run_tool(
            'datastore_version_facts',
            'mariadb',
            '11.8.6',
            self.file({'container_image': f'r.example:5000/a:1@sha256:{"a" * 64}'}),
        )

    def test_the_id_of_a_container_image_is_one_as_an_engine_prints_it(self):
        for found in ('a:1', 'a' * 64, f'sha256:{"A" * 64}', f'sha256:{"a" * 64}\n', ['a'], 7, ''):
            self.assertIn(
                'container_image_id is no id of a container image',
                self.run_tool(
                    'datastore_version_facts',
                    'mariadb',
                    '11.8.6',
                    self.file({'container_image_id': found}),
                    code=1,
                ),
            )
        facts = {'database_runtime': 'container', 'guest_rpc': '1.2'}
        facts['container_image_id'] = f'sha256:{"a" * 64}'
        self.run_tool('datastore_version_facts', 'mariadb', '11.8.6', self.file(facts))
        self.assertEqual(
            facts['container_image_id'],
            self.repos.datastores.target_facts(database.MARIADB_11_8)['container_image_id'],
        )

    def test_the_id_of_a_container_image_is_recorded_without_a_file(self):
        version = 'datastore_version_facts', 'mariadb', '11.8.6'
        first, second = f'sha256:{"a" * 64}', f'sha256:{"b" * 64}'
        self.run_tool(
            *version,
            self.file({'database_runtime': 'container', 'guest_rpc': '1.2'}),
            '--container-image-id',
            first,
        )
        self.assertEqual(
            {'guest_rpc': '1.2', 'container_image_id': first},
            self.repos.datastores.target_facts(database.MARIADB_11_8),
        )
        self.run_tool(*version, '--container-image-id', second)
        self.assertEqual(
            {'guest_rpc': '1.2', 'container_image_id': second},
            self.repos.datastores.target_facts(database.MARIADB_11_8),
        )
        refused = self.run_tool(*version, '--container-image-id', 'mariadb:11.8', code=2)
        self.assertIn("'mariadb:11.8' is no id of a container image", refused)
        self.assertIn('docker image inspect', refused)
        self.assertIn('a file or --container-image-id', self.run_tool(*version, code=2))

    def test_of_an_image_for_containers_only_the_facts_of_its_agent_are_loaded(self):
        facts = {
            'schema': 1,
            'database_runtime': 'container',
            'os': 'debian 12',
            'container_images': ['a:1'],
            'agent_version': '1.2',
            'guest_rpc': '1.2',
        }
        self.run_tool('datastore_version_facts', 'mariadb', '11.8.6', self.file(facts))
        self.assertEqual(
            {'schema': 1, 'agent_version': '1.2', 'guest_rpc': '1.2'},
            self.repos.datastores.target_facts(database.MARIADB_11_8),
        )

    def test_a_version_of_the_guests_calls_is_text_of_two_numbers(self):
        for found in (1.2, 1, ['1.2'], '', '1', '1.2.3', 'v1.2', '1.2\n', ' 1.2', '-1.2', True):
            refused = self.run_tool(
                'datastore_version_facts',
                'mariadb',
                '11.8.6',
                self.file({'guest_rpc': found}),
                code=1,
            )
            self.assertIn('FILE_INVALID', refused)
            self.assertIn('guest_rpc is no version', refused)
        for found in ('1.2', '1.10', '2.0', None):
            self.run_tool(
                'datastore_version_facts', 'mariadb', '11.8.6', self.file({'guest_rpc': found})
            )
            self.assertEqual(
                {'guest_rpc': found}, self.repos.datastores.target_facts(database.MARIADB_11_8)
            )

    def test_facts_of_an_image_for_containers_that_tell_nothing_of_its_agent_are_refused(self):
        refused = self.run_tool(
            'datastore_version_facts',
            'mariadb',
            '11.8.6',
            self.file({'schema': 1, 'database_runtime': 'container'}),
            code=1,
        )
        self.assertIn('FILE_INVALID', refused)
        self.assertIn('registered without facts', refused)
        self.assertEqual({}, self.repos.datastores.target_facts(database.MARIADB_11_8))

    def test_target_facts_are_loaded_and_a_number_tells_versions_of_one_name_apart(self):
        second = self.db.add_version(name='11.8.6', number='11.8.6-2')
        facts = ('datastore_version_facts', 'mariadb', '11.8.6', self.file({'options': ['a']}))
        self.assertIn('DATASTORE_VERSION_AMBIGUOUS', self.run_tool(*facts, code=1))
        self.assertIn(
            'DATASTORE_VERSION_NOT_FOUND', self.run_tool(*facts, '--version', '9', code=1)
        )
        self.run_tool(*facts, '--version', '11.8.6-2')
        self.assertEqual({'options': ['a']}, self.repos.datastores.target_facts(second))
        self.assertEqual({}, self.repos.datastores.target_facts(database.MARIADB_11_8))


class TestUpgrades(ManageTestCase):
    def failed(self):
        upgrades = self.repos.upgrades
        return upgrades.end(
            upgrades.claim(self.db.begin().id, 'me', 60),
            UpgradeState.FAILED,
            cause='no heartbeat',
            error_code='BOOT_TIMEOUT',
        ).upgrade

    def test_they_are_listed_with_filters(self):
        failed, other = self.failed(), self.db.begin(database.OTHER_INSTANCE)
        answer = self.run_tool('upgrade', 'list')
        self.assertIn(failed.id, answer)
        self.assertIn(other.id, answer)
        for arguments in (
            ('--state', 'failed'),
            ('--project', database.PROJECT),
            ('--instance', database.INSTANCE),
        ):
            answer = self.run_tool('upgrade', 'list', *arguments)
            self.assertIn(failed.id, answer)
            self.assertNotIn(other.id, answer)
        self.assertIn('older ones', self.run_tool('upgrade', 'list', '--limit', '1'))
        self.run_tool('upgrade', 'list', '--state', 'odd', code=2)

    def test_one_is_shown_with_its_cause_and_the_way_on(self):
        failed = self.failed()
        answer = self.run_tool('upgrade', 'show', failed.id)
        self.assertIn('no heartbeat', answer)
        self.assertIn(f'upgrade retry {failed.id}', answer)
        self.assertEqual(
            'BOOT_TIMEOUT',
            json.loads(self.run_tool('upgrade', 'show', '--json', failed.id))['error_code'],
        )
        self.assertIn('UPGRADE_NOT_FOUND', self.run_tool('upgrade', 'show', 'nothing', code=1))

    def test_one_is_explained_with_the_taskmanager_that_holds_it(self):
        registered = self.repos.services.register('control-1', 'trove-upgrade-taskmanager', '1')
        held = self.repos.upgrades.claim(self.db.begin().id, registered.place, 60)
        answer = self.run_tool('upgrade', 'explain', held.id)
        self.assertIn(f'Held by {registered.place} for ', answer)
        self.assertIn('it was seen lately', answer)
        self.assertIn('Next: quiesce, rebuild, boot, restore, verify, COMPLETED.', answer)
        self.assertIn('start: not sent yet', answer)
        self.assertRegex(answer, 'retry: no. .* is RUNNING')
        self.repos.services.remove(registered)
        self.assertIn('no service of that name', self.run_tool('upgrade', 'explain', held.id))

    def test_the_end_of_the_holders_process_is_seen_on_its_own_host(self):
        host = socket.gethostname()
        ended = Registration.new('trove-upgrade-taskmanager', host, '1')
        ended = dataclasses.replace(ended, pid=2**22 + 1)
        held = self.repos.upgrades.claim(self.db.begin().id, ended.place, 60)
        self.assertIn('its process has ended', self.run_tool('upgrade', 'explain', held.id))

    def test_the_explanation_of_a_failed_one_is_the_same_for_programs(self):
        failed = self.failed()
        found = json.loads(self.run_tool('upgrade', 'explain', failed.id, '--json'))
        self.assertEqual(
            ['accepted', 'ended', 'notice', 'notice'],
            sorted(entry['kind'] for entry in found['timeline']),
        )
        self.assertEqual('FAILED', found['state'])
        self.assertIn('BOOT_TIMEOUT: no heartbeat', found['waits_for'])
        [retry] = [each for each in found['actions'] if each['action'] == 'retry']
        self.assertTrue(retry['allowed'])
        self.assertIn(retry['reason'], self.run_tool('upgrade', 'explain', failed.id))
        datetime.datetime.fromisoformat(found['timeline'][0]['at'])
        self.run_tool('upgrade', 'explain', 'none', code=1)

    def test_the_parts_of_its_outage_are_shown(self):
        upgrades = self.repos.upgrades
        held = upgrades.claim(self.db.begin().id, 'me', 60).evolve(steps=test_downtime.runs())
        told = test_downtime.told(quiesced_at=None, opened_at='2026-11-21T12:00:11+00:00')
        ended = upgrades.end(stored.adding(held, **told), UpgradeState.COMPLETED).upgrade
        text = self.run_tool('upgrade', 'show', ended.id)
        self.assertRegex(text, r'opened_at +2026-11-21 12:00:11')
        self.assertRegex(text, r'downtime_seconds +10\.7')
        self.assertRegex(
            text, r'downtime +stop unknown, rebuild 3\.0, boot 0\.5, restore unknown, open 1\.0'
        )

    def test_what_its_tenant_should_know_is_shown_too(self):
        for data, wanted in test_notes.GOLDEN:
            begun = self.db.begin()
            upgrades = self.repos.upgrades
            ended = upgrades.end(
                stored.adding(upgrades.claim(begun.id, 'me', 60), **data), UpgradeState.COMPLETED
            ).upgrade
            self.db.update_instance(task_id=1, datastore_version_id=database.MARIADB_10_11)
            text = self.run_tool('upgrade', 'show', ended.id)
            found = json.loads(self.run_tool('upgrade', 'show', '--json', ended.id))
            self.assertEqual(
                wanted,
                {key: [(each['step'], each['code']) for each in found[key]] for key in wanted},
            )
            for entry in [*found['warnings'], *found['remarks']]:
                self.assertRegex(
                    text, rf'{entry["step"]} +{entry["code"]} +{re.escape(entry["message"])}'
                )
            self.assertEqual(
                {key: bool(wanted[key]) for key in wanted},
                {
                    'warnings': '\nWarnings:' in text,
                    'remarks': '\nRemarks:' in text,
                    'settings_changed': 'Settings that changed:' in text,
                },
            )
        self.assertRegex(self.shown_setting(), r'sql_mode +A +B')

    def shown_setting(self):
        upgrades = self.repos.upgrades
        held = upgrades.claim(self.db.begin().id, 'me', 60)
        return self.run_tool(
            'upgrade',
            'show',
            upgrades.end(
                stored.adding(held, **test_notes.AURORA), UpgradeState.COMPLETED
            ).upgrade.id,
        )

    def test_one_that_no_taskmanager_works_on_says_so(self):
        waiting, worked_on = self.db.begin(), self.db.begin(database.OTHER_INSTANCE)
        shown = ('upgrade', 'show', waiting.id)
        self.assertNotIn('No taskmanager', self.run_tool(*shown))
        self.db.pass_time(100)
        self.repos.upgrades.claim(worked_on.id, 'me', 60)
        self.assertRegex(
            self.run_tool(*shown),
            r'No taskmanager has worked on it for 10\d s; see trove-upgrade-manage service list\.',
        )
        self.assertRegex(
            self.run_tool('upgrade', 'list'),
            r'No taskmanager has worked on 1 of them for 10\d s; see',
        )
        self.assertNotIn('No taskmanager', self.run_tool('upgrade', 'show', worked_on.id))
        self.db.pass_time(100)
        self.assertRegex(
            self.run_tool('upgrade', 'show', worked_on.id),
            r'No taskmanager has worked on it for 4\d s',
        )
        ended = self.repos.upgrades.end(
            self.repos.upgrades.claim(waiting.id, 'me', 60), UpgradeState.ABORTED
        ).upgrade
        self.db.pass_time(100)
        self.assertNotIn('No taskmanager', self.run_tool('upgrade', 'show', ended.id))

    def test_a_failed_one_is_retried_once(self):
        failed = self.failed()
        self.assertIn('attempt 2', self.run_tool('upgrade', 'retry', failed.id))
        self.assertIs(UpgradeState.RUNNING, self.repos.upgrades.get(failed.id).state)
        self.assertIn('Nothing was changed', self.run_tool('upgrade', 'retry', failed.id))
        self.assertEqual(2, self.repos.upgrades.get(failed.id).attempt)

    def test_one_that_is_held_proceeds_or_is_given_up(self):
        for action, state in (
            ('proceed', UpgradeState.RUNNING),
            ('abort', UpgradeState.ABORTED),
        ):
            begun = self.db.begin(self.db.add_instance(), choices=holds.Choices(hold=True))
            self.assertIn('PROCEED_REFUSED', self.run_tool('upgrade', 'proceed', begun.id, code=1))
            self.repos.holds.hold(self.repos.upgrades.claim(begun.id, 'me', 60), 60)
            self.assertIn(
                f'upgrade {action} {begun.id}', self.run_tool('upgrade', 'show', begun.id)
            )
            self.assertIn(str(state), self.run_tool('upgrade', action, begun.id))
            self.assertIs(state, self.repos.upgrades.get(begun.id).state)
            self.assertIn('Nothing was changed', self.run_tool('upgrade', action, begun.id))

    def test_one_that_is_held_and_whose_instance_is_busy_is_shown_with_the_reason(self):
        begun = self.db.begin(choices=holds.Choices(hold=True))
        self.repos.holds.hold(self.repos.upgrades.claim(begun.id, 'me', 60), 60)
        self.db.update_instance(task_id=int(Task.REBOOTING))
        for command in ('show', 'explain'):
            told = self.run_tool('upgrade', command, begun.id)
            self.assertIn('its status is REBOOT', told)
            self.assertNotIn('upgrade proceed', told)
            self.assertIn(f'upgrade abort {begun.id}', told)

    def test_a_failed_one_is_rolled_back_where_that_is_possible(self):
        failed = self.failed()
        self.assertNotIn('upgrade rollback', self.run_tool('upgrade', 'show', failed.id))
        self.assertIn('ROLLBACK_REFUSED', self.run_tool('upgrade', 'rollback', failed.id, code=1))
        self.repos.upgrades.retry(failed.id)
        held = self.repos.upgrades.claim(failed.id, 'me', 60).evolve(
            former_image_id=database.IMAGE_10_11
        )
        held = self.repos.upgrades.save(
            stored.adding(held, rebuild_accepted_in_attempt=2, upgrade_info={'stash': 'stash-s1'})
        )
        self.repos.upgrades.end(
            held, UpgradeState.FAILED, cause='no space', error_code='REBUILD_FAILED'
        )
        self.assertIn(f'upgrade rollback {failed.id}', self.run_tool('upgrade', 'show', failed.id))
        self.assertIn(
            f'attempt 3, back to image {database.IMAGE_10_11}',
            self.run_tool('upgrade', 'rollback', failed.id),
        )
        self.assertTrue(self.repos.upgrades.get(failed.id).is_rolling_back)


class TestInstancesAndServices(ManageTestCase):
    def register(self, *extra, server=SERVER_ID, **kwargs):
        return self.run_tool(
            'instance',
            'register',
            server,
            '--name',
            'new',
            '--project',
            'p',
            '--datastore',
            'mariadb',
            '--version',
            '10.11.14',
            *extra,
            **kwargs,
        )

    def test_a_server_becomes_an_instance_with_the_image_that_nova_names(self):
        wanted = '00000000-0000-4000-8000-00000000eeee'
        self.assertEqual(
            wanted,
            self.register(
                '--id', wanted, '--volume-size', '2', '--flavor', 'f', '--volume-id', 'v'
            ).strip(),
        )
        found = self.repos.instances.get(wanted, 'p')
        self.assertEqual(
            (SERVER_ID, 2, 'v', 'f'),
            (found.server_id, found.volume_size_gb, found.volume_id, found.flavor_id),
        )
        self.assertEqual('booted-image', self.repos.guests.image(wanted))
        self.assertIn('ALREADY_REGISTERED', self.register(code=1))

    def test_flavor_and_region_are_those_of_nova_unless_told(self):
        self.conf.write_text(
            self.conf.read_text() + '[service_credentials]\nregion_name = RegionTwo\n'
        )
        found = self.repos.instances.get(self.register().strip())
        self.assertEqual(('flavor-of-nova', 'RegionTwo'), (found.flavor_id, found.region))

    def test_a_region_that_is_given_stands(self):
        self.assertEqual(
            'R', self.repos.instances.get(self.register('--region', 'R').strip()).region
        )

    def test_a_server_that_nova_does_not_know_is_refused(self):
        self.assertIn('SERVER_NOT_FOUND', self.register(server='other', code=1))

    def test_beside_a_real_trove_no_row_is_made_that_trove_has_not_made(self):
        with self.repos.database.write() as connection:
            connection.exec_driver_sql('CREATE TABLE alembic_version (id INTEGER)')
        self.assertIn('CONFIGURED_ALONE', self.register(code=1))

    def test_an_id_that_is_none_is_a_usage_error(self):
        self.register('--id', 'db1', code=2)

    def test_instances_that_have_drifted_are_counted_and_listed(self):
        answer = self.run_tool('instance', 'drift')
        self.assertIn('2 instances in 2 projects: 0 have drifted, and of 2 it is not', answer)
        answer = self.run_tool('instance', 'drift', '--ask-nova')
        self.assertIn('2 instances in 2 projects: 1 have drifted, and of 1 it is not', answer)
        self.assertRegex(answer, rf'{database.PROJECT} +1 +1 +0 +2026-01-01')
        answer = self.run_tool('instance', 'drift', '--project', database.PROJECT)
        self.assertRegex(answer, f'{database.INSTANCE} .* booted-image +{database.IMAGE_10_11}')
        found = json.loads(self.run_tool('instance', 'drift', '--json'))
        self.assertEqual([1, 0], [one['drifted'] for one in found])
        [one] = json.loads(
            self.run_tool('instance', 'drift', '--json', '--project', database.PROJECT)
        )
        self.assertEqual('booted-image', one['booted_image_id'])
        datetime.datetime.fromisoformat(one['since'])

    def test_services_are_listed_with_their_silence(self):
        gone = self.repos.services.register('host-1', 'trove-upgrade-api', '1.0', pid=11)
        self.db.pass_time(1000)
        self.repos.services.register('host-2', 'trove-upgrade-api', '1.0', pid=12)
        text = self.run_tool('service', 'list')
        self.assertRegex(
            text,
            rf'{gone.id} +host-1 +11 +trove-upgrade-api +{RELEASE} +1\.0 +silent .* 17 min ago',
        )
        self.assertRegex(
            text, rf'host-2 +12 +trove-upgrade-api +{RELEASE} +1\.0 +alive .* \d+ s ago'
        )

    def test_services_are_listed_for_programs(self):
        registered = self.repos.services.register('host-1', 'trove-upgrade-api', '1.0', pid=11)
        (found,) = json.loads(self.run_tool('service', 'list', '--json'))
        self.assertEqual(
            {
                'id': registered.id,
                'host': 'host-1',
                'pid': 11,
                'binary': 'trove-upgrade-api',
                'release': RELEASE,
                'version': '1.0',
                'state': 'alive',
            },
            {
                name: found[name]
                for name in found
                if name not in {'started_at', 'seen_at', 'silent_seconds'}
            },
        )
        self.assertLess(found['silent_seconds'], 60)

    def test_services_that_are_gone_are_forgotten(self):
        gone = [
            self.repos.services.register('host-1', 'trove-upgrade-api', '1.0').id for _ in range(2)
        ]
        self.db.pass_time(100)
        self.assertEqual(2, self.run_tool('service', 'forget', *gone).count('is forgotten'))
        self.assertEqual([], self.repos.services.list())

    def killed(self):
        """The registration of a process of this machine that ended without a clean stop."""
        process = subprocess.Popen(['sleep', '1000'])
        made = dataclasses.replace(
            Registration.new('trove-upgrade-api', 'host-1', '1.0', pid=process.pid),
            birth=TABLE.birth_of(process.pid),
        )
        self.repos.services.beat(made)
        process.kill()
        process.wait()
        return made

    def test_a_service_whose_process_has_ended_here_is_taken_off_the_list(self):
        self.killed()
        self.assertEqual([], json.loads(self.run_tool('service', 'list', '--json')))
        with self.db.database.read() as connection:
            self.assertEqual(
                0,
                connection.execute(
                    sa.select(sa.func.count()).select_from(models.upgrade_services)
                ).scalar_one(),
            )

    def test_it_does_not_keep_the_tables(self):
        self.killed()
        self.assertIn('have been dropped', self.run_tool('db', 'remove', '--yes'))

    def test_a_wait_ends_at_once_where_the_tables_have_gone(self):
        self.run_tool('db', 'remove', '--yes')
        self.assertEqual('No service is listed.\n', self.run_tool('service', 'wait'))

    def test_a_wait_ends_once_none_is_listed(self):
        self.killed()
        self.assertEqual('No service is listed.\n', self.run_tool('service', 'wait'))

    def test_a_wait_names_what_it_waited_for_in_vain(self):
        alive = self.repos.services.register('host-1', 'trove-upgrade-api', '1.0', pid=11)
        message = self.run_tool('service', 'wait', '--timeout', '0', code=1)
        self.assertIn('ERROR SERVICES_LISTED', message)
        self.assertIn(alive.id, message)

    def test_a_wait_shows_each_change_and_goes_on(self):
        first, second = (
            self.repos.services.register('host-1', 'trove-upgrade-api', '1.0', pid=pid)
            for pid in (11, 12)
        )
        steps, out = iter(((), (first,), (second,))), io.StringIO()

        def meanwhile():
            for one in next(steps):
                self.repos.services.remove(one)

        with contextlib.redirect_stdout(out):
            service.wait_until_none(self.repos.services, 60, waiting.WaitingClock(meanwhile))
        lines = out.getvalue().splitlines()
        self.assertEqual(
            (2, True, False), (len(lines), first.id in lines[0], first.id in lines[1]), lines
        )

    def test_a_service_that_runs_is_forgotten_only_by_force(self):
        alive = self.repos.services.register('host-1', 'trove-upgrade-api', '1.0').id
        self.assertIn('ERROR SERVICE_ALIVE', self.run_tool('service', 'forget', alive, code=1))
        self.run_tool('service', 'forget', '--force', alive)
        self.assertIn('ERROR SERVICE_NOT_FOUND', self.run_tool('service', 'forget', alive, code=1))

# SPDX-License-Identifier: Apache-2.0
"""Incremental backups after an upgrade: the filters before a stand-in of Trove's application, with
a database.
"""

import datetime
import io
import json
import uuid

import sqlalchemy as sa
import webtest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trove_upgrade.api.backup_filter import BackupFilter
from trove_upgrade.api.filter import UpgradeFilter
from trove_upgrade.db import models, trove_tables
from trove_upgrade.domain import states
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.api import stage, test_filter

CODE = 'BACKUP_OF_FORMER_VERSION'
NOW = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)


def hours(count):
    return NOW + datetime.timedelta(hours=count)


class BackupsTestCase(test_filter.FilterTestCase):
    """The instance runs 11.8.6; backups are added by the hour."""

    def setUp(self):
        super().setUp()
        self.db.update_instance(datastore_version_id=database.MARIADB_11_8)

    def new_app(self, **changes):
        self.trove = test_filter.Trove()
        made = self.new_services(servers=None, **changes)
        ours = stage.application.Application(lambda: made)
        inner = BackupFilter(self.trove, lambda: made, lambda: 65536)
        return webtest.TestApp(
            stage.FakeAuth(UpgradeFilter(inner, ours, lambda: 65536)), lint=False
        )

    def add_backup(
        self,
        version_id=database.MARIADB_11_8,
        *,
        at=0,
        parent_id=None,
        state='COMPLETED',
        instance_id=database.INSTANCE,
        **columns,
    ):
        values = {
            'tenant_id': database.PROJECT,
            'deleted': False,
            'created': hours(at),
            'updated': hours(at),
            'name': 'b',
            **columns,
        }
        backup_id = str(uuid.uuid4())
        self.db.insert(
            trove_tables.backups,
            id=backup_id,
            instance_id=instance_id,
            state=state,
            parent_id=parent_id,
            datastore_version_id=version_id,
            **values,
        )
        return backup_id

    def add_former(self, **changes):
        return self.add_backup(database.MARIADB_10_11, **changes)

    def add_upgrade(
        self,
        *,
        at,
        former=database.MARIADB_10_11,
        target=database.MARIADB_11_8,
        images=('image-1', 'image-2'),
        state='COMPLETED',
        instance_id=database.INSTANCE,
        **data,
    ):
        self.db.insert(
            models.instance_upgrades,
            id=str(uuid.uuid4()),
            instance_id=instance_id,
            project_id=database.PROJECT,
            instance_name='db1',
            server_id=database.SERVER,
            state=state,
            step=str(states.STEPS[-1]),
            attempt=1,
            rebuild_attempt=1,
            former_version_id=former,
            target_version_id=target,
            former_image_id=images[0],
            target_image_id=images[1],
            datastore_manager='mariadb',
            target_number='11.8.6',
            generation=1,
            data=data,
            created_at=hours(at),
            updated_at=hours(at + 1),
            ended_at=hours(at + 1),
        )

    def back_up(self, *, path='/backups', raw=None, asked=None, **wanted):
        body = {'backup': {'name': 'nightly', 'instance': database.INSTANCE, **wanted}}
        self.sent = json.dumps(body).encode() if raw is None else raw
        return self.ask('POST', path, raw=self.sent, **(asked or {}))

    def assert_trove_answers(self, response):
        self.assert_handed_on(response, 'POST', '/backups', self.sent)

    def assert_former(self, response):
        self.assert_refused(response, 422, CODE)
        self.assertIn('x-compute-request-id', response.headers)
        self.assertEqual([], self.trove.seen)
        return self.fault(response)['message']


class TestAfterAnUpgrade(BackupsTestCase):
    def test_an_incremental_backup_is_refused_by_name_until_a_full_one_is_there(self):
        former = self.add_former(at=0)
        message = self.assert_former(self.back_up(incremental=1))
        for named in (former, database.INSTANCE, '10.11.14', '11.8.6', 'full backup'):
            self.assertIn(named, message)
        self.assert_trove_answers(self.back_up())
        self.add_backup(at=5)
        self.assert_trove_answers(self.back_up(incremental=1))

    def test_a_named_parent_counts_and_not_the_last_backup(self):
        former, present = self.add_former(at=0), self.add_backup(at=5)
        self.assert_former(self.back_up(parent_id=former))
        self.assert_former(self.back_up(parent_id=former, incremental=1))
        self.assert_former(self.back_up(parent_id=former, incremental=0))
        self.assert_trove_answers(self.back_up(parent_id=present, incremental=1))

    def test_a_full_backup_that_failed_or_still_runs_or_was_deleted_is_no_parent(self):
        self.add_former(at=0)
        for state in ('FAILED', 'NEW', 'BUILDING', 'SAVING', 'DELETE_FAILED', 'RESTORED'):
            self.add_backup(at=5, state=state)
        self.add_backup(at=6, deleted=True)
        self.assert_former(self.back_up(incremental=1))

    def test_the_parent_is_the_one_that_trove_takes_by_the_time_of_its_last_change(self):
        self.add_backup(at=5)
        self.add_former(at=0, updated=hours(6))
        self.assert_former(self.back_up(incremental=1))

    def test_the_whole_chain_is_looked_at(self):
        """Trove gives an incremental backup the version of the instance, whatever it builds on."""
        root = self.add_former(at=0)
        middle = self.add_backup(at=5, parent_id=root)
        self.add_backup(at=6, parent_id=middle)
        self.assert_former(self.back_up(incremental=1))
        self.assert_former(self.back_up(parent_id=middle))

    def test_a_chain_below_which_something_is_deleted_or_gone_or_that_leads_in_a_circle(self):
        deleted = self.add_former(at=0, deleted=True)
        self.assert_former(self.back_up(parent_id=self.add_backup(at=5, parent_id=deleted)))
        gone = self.add_backup(at=5, parent_id=str(uuid.uuid4()))
        self.assert_trove_answers(self.back_up(parent_id=gone))
        with self.db.database.write() as connection:
            connection.execute(
                sa.update(trove_tables.backups)
                .where(trove_tables.backups.c.id == gone)
                .values(parent_id=gone)
            )
        self.assert_trove_answers(self.back_up(parent_id=gone))

    def test_a_version_that_the_operator_has_deleted_since_is_named_by_its_id(self):
        version_id = self.db.add_version(name='10.6.1')
        self.add_backup(version_id, at=0)
        with self.db.database.write() as connection:
            connection.exec_driver_sql('PRAGMA foreign_keys=OFF')
            versions = trove_tables.datastore_versions
            connection.execute(sa.delete(versions).where(versions.c.id == version_id))
        self.assertIn(version_id, self.assert_former(self.back_up(incremental=1)))

    def test_a_parent_of_another_instance_is_judged_by_what_runs_here(self):
        other = self.db.add_instance(name='db3')
        self.assert_former(self.back_up(parent_id=self.add_former(instance_id=other)))
        self.assert_trove_answers(self.back_up(parent_id=self.add_backup(instance_id=other)))
        self.assert_trove_answers(self.back_up(incremental=1))


class TestEqualVersions(BackupsTestCase):
    """What the ids of the versions hide, the times of the upgrades tell."""

    def repoint(self, **changes):
        self.add_upgrade(former=database.MARIADB_11_8, **{'at': 2, **changes})

    def test_back_at_the_version_of_before(self):
        self.add_backup(at=0)
        self.add_upgrade(at=2, former=database.MARIADB_11_8, target=database.MARIADB_10_11)
        self.add_upgrade(at=4)
        self.assertIn('2026-06-01 16:00:00 UTC', self.assert_former(self.back_up(incremental=1)))
        self.add_backup(at=6)
        self.assert_trove_answers(self.back_up(incremental=1))

    def test_a_version_repointed_to_an_image_with_another_release(self):
        parent = self.add_backup(at=0)
        self.repoint(
            former_server_version='11.8.5-MariaDB', server_version='11.8.6-MariaDB-0+deb13u1'
        )
        self.assertIn('another release', self.assert_former(self.back_up(incremental=1)))
        self.assert_former(self.back_up(parent_id=self.add_backup(at=6, parent_id=parent)))

    def test_a_version_repointed_to_an_image_with_the_same_release(self):
        self.add_backup(at=0)
        self.repoint(
            former_server_version='11.8.6-MariaDB-0+deb12u1',
            server_version='11.8.6-MariaDB-0+deb13u1',
        )
        self.assert_trove_answers(self.back_up(incremental=1))

    def test_releases_that_are_not_known_count_as_different_if_the_image_is(self):
        self.add_backup(at=0)
        self.repoint(images=('image-1', 'image-1'))
        self.assert_trove_answers(self.back_up(incremental=1))
        self.repoint(at=3)
        self.assert_former(self.back_up(incremental=1))

    def test_an_upgrade_that_did_not_touch_the_data_leaves_the_chain_whole(self):
        self.add_backup(at=0)
        for state in ('ABORTED', 'ROLLED_BACK', 'FAILED'):
            self.repoint(state=state)
        self.assert_trove_answers(self.back_up(incremental=1))

    def test_an_upgrade_that_failed_behind_the_point_of_no_return_counts(self):
        self.add_backup(at=0)
        self.repoint(state='FAILED', post_upgrade_sent_in_attempt=1)
        self.assert_former(self.back_up(incremental=1))

    def test_an_upgrade_of_another_instance_does_not_count(self):
        self.add_backup(at=0)
        self.repoint(instance_id=database.OTHER_INSTANCE)
        self.assert_trove_answers(self.back_up(incremental=1))

    def test_tables_that_were_not_made_yet_know_of_no_upgrade(self):
        with self.db.database.engine.begin() as connection:
            models.METADATA.drop_all(connection)
        self.add_backup(at=0)
        self.assert_trove_answers(self.back_up(incremental=1))
        self.add_former(at=1)
        self.assert_former(self.back_up(incremental=1))

    def test_a_trove_that_knows_no_storage_drivers(self):
        with self.db.database.engine.begin() as connection:
            connection.exec_driver_sql('ALTER TABLE backups DROP COLUMN storage_driver')
        with self.db.database.engine.begin() as connection:
            connection.exec_driver_sql(
                'INSERT INTO backups (id, name, tenant_id, state, instance_id, deleted, created, '
                f"updated, datastore_version_id) VALUES ('{uuid.uuid4()}', 'b', "
                f"'{database.PROJECT}', 'COMPLETED', '{database.INSTANCE}', 0, '2026-01-01 "
                f"00:00:00', '2026-01-01 00:00:00', '{database.MARIADB_10_11}')"
            )
        self.assert_former(self.back_up(incremental=1))


class TestLeftToTrove(BackupsTestCase):
    def setUp(self):
        super().setUp()
        self.former = self.add_former(at=0)

    def test_every_other_backup(self):
        restored = {
            'remote_location': 'x',
            'local_datastore_version_id': database.MARIADB_11_8,
            'size': 1,
        }
        for wanted in (
            {},
            {'incremental': 0},
            {'swift_container': 'c'},
            {'description': 'd'},
            {'parent_id': self.former, 'restore_from': restored},
            {'incremental': 1, 'storage_driver': 'cinder'},
        ):
            self.assert_trove_answers(self.back_up(**wanted))

    def test_the_container_of_the_strategy_changes_nothing(self):
        self.assert_former(
            self.back_up(incremental=1, swift_container='elsewhere', description='nightly')
        )

    def test_a_snapshot_of_the_volume_needs_no_parent(self):
        self.add_former(at=1, storage_driver='cinder')
        self.assert_trove_answers(self.back_up(incremental=1))

    def test_what_trove_itself_refuses(self):
        for wanted in (
            {'incremental': True},
            {'incremental': 'true'},
            {'incremental': 2},
            {'incremental': 1, 'name': ''},
            {'incremental': 1, 'name': '--'},
            {'incremental': 1, 'name': 'x' * 256},
            {'parent_id': 'x'},
            {'parent_id': None},
            {'incremental': 1, 'instance': 'db1'},
            {'incremental': 1, 'instance': None},
            {'parent_id': self.former, 'description': ''},
            {'incremental': 1, 'swift_container': 5},
            {'incremental': 1, 'restore_from': {}},
            {'incremental': 1, 'restore_from': None},
        ):
            self.assert_trove_answers(self.back_up(**wanted))

    def test_bodies_that_are_none(self):
        for raw in (
            b'',
            b'{',
            b'\xff',
            b'[]',
            b'null',
            b'"backup"',
            b'{"backup": []}',
            b'{"backup": {}}',
            b'[' * 60000,
            b'{"backup": NaN}',
        ):
            self.assert_trove_answers(self.back_up(raw=raw))

    def test_of_a_key_that_is_there_twice_the_last_one_counts_as_for_trove(self):
        text = (
            '{{"backup": {{"name": "b", "instance": "{}", "incremental": {}, "incremental": {}}}}}'
        )
        self.assert_trove_answers(self.back_up(raw=text.format(database.INSTANCE, 1, 0).encode()))
        self.assert_former(self.back_up(raw=text.format(database.INSTANCE, 0, 1).encode()))

    def test_bodies_over_the_bound_or_without_a_length_are_not_read(self):
        incremental = json.dumps(
            {'backup': {'name': 'b', 'instance': database.INSTANCE, 'incremental': 1}}
        ).encode()
        self.assert_trove_answers(self.back_up(raw=incremental + b' ' * 65536))

        class Unread(io.BytesIO):
            def read(self, *_arguments):
                raise AssertionError('The body was read')

        for length in (None, '', '-1', 'x'):
            reached = []
            environ = {
                'REQUEST_METHOD': 'POST',
                'PATH_INFO': f'/{database.PROJECT}/backups',
                'wsgi.input': Unread(incremental),
            }
            environ |= {} if length is None else {'CONTENT_LENGTH': length}
            BackupFilter(
                lambda given, _start, reached=reached: reached.append(given) or [],
                lambda: None,
                lambda: 65536,
            )(environ, None)
            self.assertIs(environ['wsgi.input'], reached[0]['wsgi.input'])

    def test_a_body_that_was_cut_short_goes_on_as_it_came(self):
        reached = []
        environ = {
            'REQUEST_METHOD': 'POST',
            'PATH_INFO': f'/{database.PROJECT}/backups',
            'CONTENT_LENGTH': '99',
            'wsgi.input': io.BytesIO(b'{"a'),
        }
        BackupFilter(
            lambda given, _start: reached.append(given['wsgi.input'].read()) or [],
            lambda: None,
            lambda: 65536,
        )(environ, None)
        self.assertEqual([b'{"a'], reached)

    def test_other_methods_and_addresses(self):
        raw = json.dumps(
            {'backup': {'name': 'b', 'instance': database.INSTANCE, 'incremental': 1}}
        ).encode()
        for method, path in (
            ('GET', '/backups'),
            ('PUT', '/backups'),
            ('DELETE', f'/backups/{self.former}'),
            ('POST', f'/backups/{self.former}'),
            ('POST', '/backup_strategies'),
            ('POST', '/instances'),
        ):
            self.assert_handed_on(self.ask(method, path, raw=raw), method, path, raw)

    def test_the_method_is_the_one_that_troves_router_takes(self):
        raw = json.dumps(
            {'backup': {'name': 'b', 'instance': database.INSTANCE, 'incremental': 1}}
        ).encode()
        self.assert_former(self.ask('PUT', '/backups?_method=post', raw=raw))
        self.assert_former(self.ask('POST', '/backups?_method=', raw=raw))
        self.assert_handed_on(
            self.ask('POST', '/backups?_method=GET', raw=raw), 'POST', '/backups', raw
        )

    def test_an_instance_or_a_parent_that_is_not_there(self):
        self.assert_trove_answers(self.back_up(incremental=1, instance=database.DELETED_INSTANCE))
        self.assert_trove_answers(self.back_up(incremental=1, instance=str(uuid.uuid4())))
        self.assert_trove_answers(self.back_up(parent_id=str(uuid.uuid4())))
        self.assert_trove_answers(self.back_up(parent_id=self.add_former(deleted=True)))


class TestProjects(BackupsTestCase):
    def setUp(self):
        super().setUp()
        self.former = self.add_former(at=0)

    def as_other(self, **wanted):
        body = json.dumps(
            {'backup': {'name': 'b', 'instance': database.INSTANCE, **wanted}}
        ).encode()
        return self.ask('POST', '/backups', raw=body, project_id=database.OTHER_PROJECT)

    def test_another_project_learns_nothing_of_instance_and_parent(self):
        for wanted in (
            {'incremental': 1},
            {'parent_id': self.former},
            {'instance': database.OTHER_INSTANCE, 'parent_id': self.former},
        ):
            self.assertEqual(418, self.as_other(**wanted).status_int)

    def test_a_parent_of_another_project_is_troves_to_answer(self):
        self.assert_trove_answers(
            self.back_up(parent_id=self.add_former(tenant_id=database.OTHER_PROJECT))
        )

    def test_a_backup_that_another_project_has_of_the_instance_is_no_parent_but_for_an_admin(self):
        self.add_backup(at=5)
        self.add_former(at=6, tenant_id=database.OTHER_PROJECT)
        self.assert_trove_answers(self.back_up(incremental=1))
        self.assert_former(self.back_up(incremental=1, asked={'roles': stage.ADMIN}))

    def test_an_admin_of_another_project_is_told_too(self):
        asked = {'roles': stage.ADMIN, 'project_id': database.OTHER_PROJECT}
        self.assert_former(self.back_up(incremental=1, asked=asked))

    def test_a_token_of_another_project_than_the_address_or_none_is_troves_to_answer(self):
        raw = json.dumps(
            {'backup': {'name': 'b', 'instance': database.INSTANCE, 'incremental': 1}}
        ).encode()
        for headers in ({}, {'X-Auth-Token': stage.token(project_id=database.OTHER_PROJECT)}):
            request = webtest.TestRequest.blank(
                f'/{database.PROJECT}/backups', method='POST', body=raw
            )
            request.headers.update({'Content-Type': 'application/json', **headers})
            self.assertEqual(418, self.app.do_request(request, expect_errors=True).status_int)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 2)
    | st.sampled_from(['', 'b', database.INSTANCE])
    | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(['backup', 'name', 'instance', 'parent_id', 'incremental'])
            | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=10,
)


class TestWhateverComes(base.TestCase):
    """Without an identity that may see the instance, what is handed on is what came, and nothing is
    looked up.
    """

    @settings(
        max_examples=150, deadline=None, suppress_health_check=[HealthCheck.differing_executors]
    )
    @given(document=_JSON, spaces=st.text(' \n', max_size=3))
    def test_the_body_goes_on_as_it_came(self, document, spaces):
        raw = (spaces + json.dumps(document)).encode()
        reached = []
        environ = {
            'REQUEST_METHOD': 'POST',
            'PATH_INFO': f'/{database.PROJECT}/backups',
            'CONTENT_LENGTH': str(len(raw)),
            'wsgi.input': io.BytesIO(raw),
        }
        BackupFilter(
            lambda given, _start: reached.append(given['wsgi.input'].read()) or [],
            lambda: None,
            lambda: 65536,
        )(environ, None)
        self.assertEqual([raw], reached)


class TestWithoutTrove(stage.ApiTestCase):
    def test_the_api_alone_knows_no_backups(self):
        body = {'backup': {'name': 'b', 'instance': database.INSTANCE, 'incremental': 1}}
        self.assert_refused(self.ask('POST', '/backups', body), 404, 'RESOURCE_NOT_FOUND')

# SPDX-License-Identifier: Apache-2.0
"""Incremental backups on real Trove around an upgrade.

This cloud has no object store. Backups that have completed are therefore rows that the test writes
as Trove's conductor would, and those that are asked for name a storage driver that no guest has:
real Trove picks their parent and writes their row, and no backup is made.
"""

import uuid

from trove_upgrade.tests.functional.trove import holding

CODE = 'BACKUP_OF_FORMER_VERSION'


class TestIncrementalBackups(holding.HoldingCase):
    NAMES = ('incremental',)

    def add_completed(self, instance, version):
        """A full backup of the instance, made while it was of that version."""
        backup_id = str(uuid.uuid4())
        self.side.sql(
            'INSERT INTO backups (id, name, tenant_id, state, instance_id, deleted, created, '
            'updated, datastore_version_id, location, checksum, backup_type, storage_driver) '
            f"VALUES ('{backup_id}', 'full', '{self.instances.project_id}', 'COMPLETED', "
            f"'{instance.id}', 0, UTC_TIMESTAMP(), UTC_TIMESTAMP(), '{version.id}', "
            "'http://store/v1/backups/full', 'x', 'full', 'none');"
        )
        return backup_id

    def back_up(self, instance, **wanted):
        """Status, and the answer's one object."""
        body = {
            'backup': {
                'name': 'nightly',
                'instance': instance.id,
                'storage_driver': 'none',
                **wanted,
            }
        }
        status, answer = self.call('POST', '/backups', body)
        return status, next(iter(answer.values()))

    def parent_in_trove(self, instance, **wanted):
        """The parent that Trove has picked; the new row goes, or Trove would take it for a backup
        that runs.
        """
        status, answer = self.back_up(instance, **wanted)
        self.assertEqual(202, status, answer)
        self.forget(answer['id'])
        return answer['parent_id']

    def forget(self, backup_id):
        self.side.sql(f"UPDATE backups SET deleted = 1, state = 'FAILED' WHERE id = '{backup_id}';")

    def backups(self, instance):
        return {
            row[0]
            for row in self.side.sql(
                f"SELECT id FROM backups WHERE instance_id = '{instance.id}' AND deleted = 0;"
            )
        }

    def test_after_an_upgrade_an_incremental_backup_waits_for_a_full_one_of_the_new_version(self):
        instance = self.made['incremental']
        former = self.add_completed(instance, self.former)
        self.addCleanup(self.forget, former)
        self.assertEqual(former, self.parent_in_trove(instance, incremental=1))

        self.assertEqual(202, self.patch(instance, self.target)[0])
        self.assertEqual('COMPLETED', self.ended(instance)['state'])
        self.wait_until_trove_serves(instance)

        for wanted in ({'incremental': 1}, {'parent_id': former}):
            status, answer = self.back_up(instance, **wanted)
            self.assertEqual((422, CODE), (status, answer.get('error_code')), answer)
        self.assertEqual({former}, self.backups(instance))
        self.assertIsNone(self.parent_in_trove(instance))

        present = self.add_completed(instance, self.target)
        self.addCleanup(self.forget, present)
        self.assertEqual(present, self.parent_in_trove(instance, parent_id=present))
        self.side.sql(
            f"UPDATE backups SET updated = updated - INTERVAL 1 HOUR WHERE id = '{former}';"
        )
        self.assertEqual(present, self.parent_in_trove(instance, incremental=1))

    def wait_until_trove_serves(self, instance):
        def words():
            shown = self.instances.show(instance.id)
            return shown['status'], shown.get('operating_status')

        self.wait_until(
            lambda: words() == ('ACTIVE', 'HEALTHY'), 'Trove to show the instance HEALTHY'
        )

# SPDX-License-Identifier: Apache-2.0
"""A Trove in memory, behind the port `domain.database_service.DatabaseService`.

It does what the real one does: users come and go after the answer, what is built is not deleted,
and what is deleted is there for a while.
"""

import dataclasses

from trove_upgrade.domain import database_service as domain
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.compute import Address


def an_instance(**changes):
    return domain.DatabaseInstance(
        **{
            'id': 'i1',
            'name': 'db1',
            'status': 'ACTIVE',
            'operating_status': 'HEALTHY',
            'datastore': 'mariadb',
            'version_name': 'new',
            'version_number': '11.8.6',
            'addresses': (
                Address('10.0.0.7', 'private', 'net'),
                Address('192.0.2.7', 'public', ''),
            ),
            'server_id': 's1',
            **changes,
        }
    )


class Time:
    """A clock whose pauses pass at once."""

    def __init__(self):
        self.seconds = 0.0
        self.after = []  #: called at each pause

    def monotonic(self):
        return self.seconds

    def sleep(self, seconds):
        self.seconds += seconds
        for call in self.after:
            call()


class FakeTrove:
    """`away` and `refuses` name methods that give no answer, or a refusal, so many times."""

    def __init__(self, *instances):
        self.there = {one.id: one for one in instances}
        self.shown = []  #: statuses of the looks to come, (status, operating status)
        self.versions = {
            'v2': domain.OfferedVersion(id='v2', name='new', number='11.8.6', datastore_id='d')
        }
        self.kept_backups = []
        self.hidden_backups = set()  #: listed, and not shown
        self.names = ['app']
        self.created_users = []
        self.offers = True  #: else neither users nor backups
        self.agent_works = True  #: else users are accepted and never come
        self.away, self.refuses = {}, {}
        self.statuses_of_new = ['BUILD', 'ACTIVE']
        self.looks_until_gone = 2
        self.going = {}
        self.resets = []
        self.made = []

    def _met(self, method):
        for way, error in (
            (self.away, domain.DatabaseServiceUnavailable(what=method, found='no answer')),
            (self.refuses, domain.DatabaseServiceRefused(what=method, status=400, found='no')),
        ):
            if way.get(method, 0) > 0:
                way[method] -= 1
                raise error

    def _offered(self, what):
        if not self.offers:
            raise domain.NotOffered(what=what, status=404)

    def instance(self, instance_id):
        self._met('instance')
        self._pass(instance_id)
        if instance_id not in self.there:
            raise exceptions.InstanceNotFound(instance_id=instance_id)
        found = self.there[instance_id]
        if self.shown:
            status, operating = self.shown.pop(0)
            found = dataclasses.replace(found, status=status, operating_status=operating)
        return found

    def _pass(self, instance_id):
        """Let what Trove does with an instance go on."""
        found = self.there.get(instance_id)
        if instance_id in self.going:
            self.going[instance_id] -= 1
            if self.going[instance_id] < 0:
                del self.there[instance_id]
        elif found is not None and found.name.startswith('trove-upgrade-smoke'):
            status = self.statuses_of_new[0]
            self.statuses_of_new = self.statuses_of_new[1:] or [status]
            self.there[instance_id] = dataclasses.replace(
                found, status=status, operating_status='HEALTHY' if status == 'ACTIVE' else ''
            )

    def instances(self):
        self._met('instances')
        return tuple(self.there.values())

    def version(self, version_id):
        self._met('version')
        return self.versions[version_id]

    def backups(self, instance_id):
        self._met('backups')
        self._offered('backups')
        return tuple(self.kept_backups)

    def backup(self, backup_id):
        self._met('backup')
        if backup_id in self.hidden_backups:
            raise domain.DatabaseServiceRefused(
                what=f'backup {backup_id}', status=404, found='not found'
            )
        return next(one for one in self.kept_backups if one.id == backup_id)

    def users(self, instance_id):
        self._met('users')
        self._offered('users')
        return tuple(domain.DatabaseUser(name, '%') for name in self.names)

    def create_user(self, instance_id, name, password):
        self._met('create_user')
        self.created_users.append((name, password))
        if self.agent_works:
            self.names.append(name)

    def drop_user(self, instance_id, name):
        self._met('drop_user')
        if name in self.names:
            self.names.remove(name)

    def create_instance(self, wanted):
        made = an_instance(
            id=f'new-{len(self.made) + 1}', name=wanted.name, status='BUILD', operating_status=''
        )
        if not self.refuses.get('create_instance'):
            self.made.append(wanted)
            self.there[made.id] = made
        self._met('create_instance')
        return made

    def delete_instance(self, instance_id):
        self._met('delete_instance')
        found = self.there.get(instance_id)
        if found is not None and found.status == 'BUILD' and instance_id not in self.resets:
            raise domain.DatabaseServiceRefused(what='deletion', status=422, found='not ready')
        self.going.setdefault(instance_id, self.looks_until_gone)

    def reset_status(self, instance_id):
        self._met('reset_status')
        self.resets.append(instance_id)

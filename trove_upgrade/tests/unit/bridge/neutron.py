# SPDX-License-Identifier: Apache-2.0
"""A Neutron in memory, behind the port `domain.network.Network`, and a Nova beside it.

It does what the real one was seen to do: gives each new group egress rules, counts revisions, keeps
no order of a port's groups, and refuses to delete a group that a port has.
"""

import contextlib
import dataclasses
import itertools

from trove_upgrade.domain import exceptions, network
from trove_upgrade.domain.compute import ShownNic
from trove_upgrade.domain.inventory import CloudServer

EGRESS = (None, None)


class Dead(BaseException):
    """The process ends here, as by SIGKILL: no code of ours runs after it."""


PROJECT = 'p' * 32


def a_server(server_id, *ports, project_id=PROJECT, status='ACTIVE', hypervisor=None):
    """A server as Nova shows it, with these ports."""
    nics = tuple(ShownNic(port.mac_address, one) for port in ports for one in port.addresses)
    return CloudServer(
        id=server_id, project_id=project_id, status=status, nics=nics, hypervisor=hypervisor
    )


class FakeNova:
    """Shows at each server the ports of its own project that Neutron has with its id: Nova takes no
    other.
    """

    def __init__(self, neutron, project_id=PROJECT):
        self.neutron = neutron
        self.project_id = project_id
        self.is_away = False
        self.missing = set()
        self.hypervisor = None

    def server(self, server_id):
        if self.is_away:
            raise exceptions.ComputeUnavailable(what='a server', found='no answer')
        if server_id in self.missing:
            raise exceptions.ServerNotFound(server_id=server_id)
        ports = [
            port
            for port in self.neutron.ports.values()
            if (port.server_id, port.project_id) == (server_id, self.project_id)
        ]
        return a_server(server_id, *ports, project_id=self.project_id, hypervisor=self.hypervisor)


class FakeNeutron:
    """`effects` counts the requests that change something; `dies` tells at which of them the client
    dies, and whether Neutron has done it.
    """

    def __init__(self, *ports, default_rules=2, group_quota=10):
        self.ports = {port.id: port for port in ports}
        self.groups = {}
        self.default_rules = default_rules
        self.group_quota = group_quota
        self.effects = 0
        self.dies = None  #: (number of the effect, True: after it was done)
        self.late = []  #: effects that were taken when the client died, and are done later
        self.before_write = None  #: called with the port id before a port is written
        self.is_away = False
        self.is_admin = True  #: else it sees nothing of other projects
        self.answered = 0
        self.now = None  #: when groups are made; None: it does not tell
        self._ids = itertools.count(1)

    # reading

    def port(self, port_id):
        self._answer('a port')
        if port_id not in self.ports or not self.is_admin:
            raise network.PortNotFound(port_id=port_id)
        return self.ports[port_id]

    def ports_that_name(self, server_ids):
        self._answer('ports')
        return [port for port in self.ports.values() if port.server_id in server_ids]

    def ports_with_group(self, group_id):
        self._answer('ports')
        return [port for port in self._seen(self.ports) if group_id in port.groups]

    def groups_named(self, name):
        self._answer('groups')
        return [group for group in self._seen(self.groups) if group.name == name]

    def group(self, group_id):
        self._answer('a group')
        return self.groups.get(group_id) if self.is_admin else None

    def sees_project(self, project_id):
        self._answer('groups')
        return self.is_admin

    # changing

    def create_group(self, name, description, project_id):
        def create():
            group = network.SecurityGroup(
                id=f'group-{next(self._ids)}',
                name=name,
                description=description,
                project_id=project_id,
                rules=tuple(self._rule('egress') for _ in range(self.default_rules)),
                created_at=self.now,
            )
            self.groups[group.id] = group
            return group

        if sum(group.project_id == project_id for group in self.groups.values()) >= (
            self.group_quota
        ):
            raise network.GroupQuotaExhausted(project_id=project_id, found='quota')
        return self._effect(create)

    def delete_group(self, group_id):
        def delete():
            if self.ports_with_group(group_id):
                raise network.GroupInUse(group_id=group_id)
            self.groups.pop(group_id, None)

        self._effect(delete)

    def delete_rule(self, rule_id):
        def delete():
            for group in self.groups.values():
                rules = tuple(rule for rule in group.rules if rule.id != rule_id)
                self.groups[group.id] = dataclasses.replace(group, rules=rules)

        self._effect(delete)

    def allow_tcp_from(self, group, source, port, text):
        def allow():
            if group.id not in self.groups:
                raise network.NetworkRefused(what='a rule', found='no such group')
            rule = dataclasses.replace(
                self._rule('ingress'),
                protocol='tcp',
                port_range=(port, port),
                source=source,
                description=text,
            )
            kept = self.groups[group.id]
            self.groups[group.id] = dataclasses.replace(kept, rules=(*kept.rules, rule))

        self._effect(allow)

    def set_groups(self, port, groups):
        if self.before_write is not None:
            self.before_write(port.id)

        def write():
            now = self.ports.get(port.id)
            if now is None:
                raise network.PortNotFound(port_id=port.id)
            if now.revision != port.revision or any(
                group not in self.groups and group.startswith('group-') for group in groups
            ):
                raise network.PortChanged(port_id=port.id)
            return self.write_port(port.id, groups)

        return self._effect(write)

    # what other clients do

    def write_port(self, port_id, groups):
        port = self.ports[port_id]
        self.ports[port_id] = dataclasses.replace(
            port, groups=tuple(sorted(groups)), revision=(port.revision or 0) + 1
        )
        return self.ports[port_id]

    def add_rule(self, group_id, source):
        rule = dataclasses.replace(
            self._rule('ingress'), protocol='tcp', port_range=(1, 65535), source=source
        )
        group = self.groups[group_id]
        self.groups[group_id] = dataclasses.replace(group, rules=(*group.rules, rule))

    def finish_late(self):
        """Do what was under way when the client died."""
        late, self.late = self.late, []
        for do in late:
            # its client is gone: no one gets Neutron's refusal
            with contextlib.suppress(exceptions.TroveUpgradeError):
                do()

    # inside

    def _seen(self, things):
        return list(things.values()) if self.is_admin else []

    def _rule(self, direction):
        return network.GroupRule(
            id=f'rule-{next(self._ids)}',
            direction=direction,
            protocol=None,
            port_range=EGRESS,
            source=None,
            description='',
        )

    def _answer(self, what):
        if self.is_away:
            raise network.NetworkUnavailable(what=what, found='no answer')
        self.answered += 1

    def _effect(self, do):
        self._answer('a change')
        self.effects += 1
        if self.dies is not None and self.dies[0] == self.effects:
            when = self.dies[1]
            self.dies = None
            if when == 'after':
                do()
            elif when == 'later':
                self.late.append(do)
            raise Dead
        return do()

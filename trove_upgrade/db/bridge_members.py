# SPDX-License-Identifier: Apache-2.0
"""Members of the bridge's runs as rows of `upgrade_bridge_members`, and back."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from trove_upgrade.db import columns
from trove_upgrade.db.models import upgrade_bridge_members as _members
from trove_upgrade.domain.bridge_ends import RunAborted
from trove_upgrade.domain.bridge_runs import (
    Member,
    MemberFacts,
    MemberState,
    MemberStep,
    MemberStepRun,
    Nic,
    RunPlan,
    StepEnd,
    first_step,
    left_out_cause,
    stays_cause,
)
from trove_upgrade.domain.inventory import Listed
from trove_upgrade.domain.pace import NO_HOSTS, Hosts, deal
from trove_upgrade.domain.verified import Outcome, Verified

_FACTS = frozenset(field.name for field in dataclasses.fields(MemberFacts))


def rows_of(run_id: str, members: Sequence[Listed], plan: RunPlan) -> list[dict[str, Any]]:
    """Return the rows of a run that begins: each member has its wave and its hosts."""
    waiting = [one for one in members if one.obstacle is None]
    loaded = [plan.loaded.get(one.instance_id, NO_HOSTS) for one in waiting]
    kinds = [
        (one.datastore, one.version, hosts.node) for one, hosts in zip(waiting, loaded, strict=True)
    ]
    waves = dict(zip((one.instance_id for one in waiting), deal(kinds, plan.pace), strict=True))
    return [
        {
            **_row_of(run_id, one, plan.targets.get(one.instance_id)),
            'wave': waves.get(one.instance_id),
            **hosts_to(plan.loaded.get(one.instance_id, NO_HOSTS)),
        }
        for one in members
    ]


def hosts_to(hosts: Hosts) -> dict[str, Any]:
    """Return the columns of hosts."""
    return {
        'node': columns.fitting(_members.c.node, hosts.node),
        'hypervisor': columns.fitting(_members.c.hypervisor, hosts.hypervisor),
    }


def _row_of(run_id: str, listed: Listed, target: str | None) -> dict[str, Any]:
    left_out = listed.obstacle is not None
    facts = MemberFacts(target_version_id=target)
    return {
        'run_id': run_id,
        'instance_id': listed.instance_id,
        'active_instance_id': None if left_out else listed.instance_id,
        'name': columns.fitting(_members.c.name, listed.name, wide=True),
        'project_id': listed.project_id,
        'server_id': listed.server_id,
        'state': str(MemberState.LEFT_OUT if left_out else MemberState.PENDING),
        'step': str(first_step(listed)),
        'is_undoing': False,
        'generation': 0,
        'error_code': listed.obstacle and str(listed.obstacle),
        'cause': listed.obstacle and left_out_cause(listed.obstacle),
        'facts': _facts_to(facts),
        'steps': [],
    }


def journal_of(member: Member) -> dict[str, Any]:
    """Return what the holder writes.  The direction is left out where it is forward: an operator
    may have turned it meanwhile.
    """
    return {
        'step': str(member.step),
        'error_code': columns.fitting(_members.c.error_code, member.error_code),
        'cause': columns.fitting(_members.c.cause, member.cause, wide=True),
        'facts': _facts_to(member.facts),
        'steps': [_step_to(run) for run in member.steps],
        **({'is_undoing': True} if member.is_undoing else {}),
    }


def end_of(state: MemberState) -> dict[str, Any]:
    """Return the columns of an end."""
    return {
        'state': str(state),
        'active_instance_id': None,
        'owner': None,
        'lease_until': None,
        'ended_at': columns.now(),
    }


def abort_of(member: Member) -> dict[str, Any]:
    """Return the end of a member that no host has."""
    error = RunAborted(run_id=member.run_id, instance_id=member.instance_id)
    told = [member.cause or error.message, stays_cause(member.facts)]
    cause = ' '.join(text for text in told if text is not None)
    return {
        **end_of(MemberState.ABORTED),
        'error_code': member.error_code or error.code,
        'cause': columns.fitting(_members.c.cause, cause, wide=True),
    }


def member_from(row: sa.Row[Any]) -> Member:
    """Return the member of a row."""
    return Member(
        run_id=row.run_id,
        instance_id=row.instance_id,
        name=row.name,
        project_id=row.project_id,
        server_id=row.server_id,
        state=MemberState(row.state),
        step=MemberStep(row.step),
        is_undoing=bool(row.is_undoing),
        generation=row.generation,
        wave=row.wave,
        hosts=Hosts(node=row.node, hypervisor=row.hypervisor),
        owner=row.owner,
        lease_until=row.lease_until,
        ended_at=row.ended_at,
        error_code=row.error_code,
        cause=row.cause,
        facts=facts_from(row.facts),
        steps=tuple(_step_from(entry) for entry in row.steps),
    )


def _facts_to(facts: MemberFacts) -> dict[str, Any]:
    return {
        name: value
        for name, value in dataclasses.asdict(facts).items()
        if value is not None and value != ()
    }


def facts_from(entry: Mapping[str, Any]) -> MemberFacts:
    """Return what this release knows of it."""
    known = {name: entry[name] for name in _FACTS if name in entry}
    nics = tuple(
        Nic(
            port_id=nic['port_id'],
            security_groups=tuple(nic['security_groups']),
        )
        for nic in known.pop('nics', ())
    )
    verified = tuple(
        Verified(one['name'], Outcome(one['outcome']), one['message'])
        for one in known.pop('verified', ())
    )
    addresses = tuple(known.pop('addresses', ()))
    return MemberFacts(**known, nics=nics, addresses=addresses, verified=verified)


def _step_to(run: MemberStepRun) -> dict[str, Any]:
    return {
        'step': str(run.step),
        'started_at': run.started_at.isoformat(),
        'ended_at': run.ended_at and run.ended_at.isoformat(),
        'end': run.end and str(run.end),
        'message': run.message,
    }


def _step_from(entry: Mapping[str, Any]) -> MemberStepRun:
    return MemberStepRun(
        step=MemberStep(entry['step']),
        started_at=datetime.datetime.fromisoformat(entry['started_at']),
        ended_at=entry['ended_at'] and datetime.datetime.fromisoformat(entry['ended_at']),
        end=entry['end'] and StepEnd(entry['end']),
        message=entry['message'],
    )

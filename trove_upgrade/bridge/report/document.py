# SPDX-License-Identifier: Apache-2.0
"""Report as an object for programs.  Its names are stable: a later release may add some, and takes
none away.
"""

from typing import Any

from trove_upgrade.bridge.report.model import InstancePart, Report, StepTime, plain
from trove_upgrade.domain.pace import WAITS

FORMAT = 1


def document(report: Report) -> dict[str, Any]:
    """Return the object, without what the audit has found."""
    return {
        'format': FORMAT,
        'made_at': plain(report.made_at),
        'run': _run(report),
        'totals': _totals(report),
        'members': [_instance(one) for one in report.instances],
        'audit_error': report.openings.why_unknown,
    }


def _run(report: Report) -> dict[str, Any]:
    run = report.run
    return {
        **plain(run),
        'seconds': report.seconds,
        'failures': {
            'counted': report.failed,
            'allowed': report.allowed_failures,
            'accepted': run.accepted_failures,
        },
        'stop': plain(report.stop),
        'stopped': report.stopped,
    }


def _totals(report: Report) -> dict[str, Any]:
    totals = report.totals
    return {
        'instances': totals.instances,
        'by_outcome': plain(totals.outcomes),
        'by_state': plain(totals.states),
        'by_wave': [{'wave': one.number, 'by_outcome': plain(one.counts)} for one in totals.waves],
        'by_code': [
            {'code': one.code, 'count': one.count, 'left': plain(one.left)} for one in totals.codes
        ],
        'by_wait': plain(totals.waits),
    }


def _instance(one: InstancePart) -> dict[str, Any]:
    member = one.member
    return {
        'instance_id': member.instance_id,
        'name': member.name,
        'project_id': member.project_id,
        'server_id': member.server_id,
        'state': str(member.state),
        'outcome': str(one.outcome),
        'wave': member.wave,
        'node': member.hosts.node,
        'hypervisor': member.hosts.hypervisor,
        'route': member.facts.route,
        'step': str(member.step),
        'is_undoing': member.is_undoing,
        'owner': member.owner,
        'lease_until': plain(member.lease_until),
        'ended_at': plain(member.ended_at),
        'seconds': one.seconds,
        'wait': plain(one.wait),
        'waits_as': None if one.wait is None else WAITS[one.wait],
        'error_code': member.error_code,
        'cause': one.cause,
        'left': plain(one.left),
        'steps': [_step(step) for step in one.steps],
        'facts': plain(member.facts),
    }


def _step(step: StepTime) -> dict[str, Any]:
    return {**plain(step), 'seconds': step.seconds}

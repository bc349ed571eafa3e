# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-manage db plan`: what an upgrade would do, before it does it."""

import argparse
import functools
import json
import textwrap

from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import print_line
from trove_upgrade.cmd.manage.context import Context
from trove_upgrade.db.migrations.chain import MAIN, Chain
from trove_upgrade.db.migrations.recording import DIALECTS
from trove_upgrade.schema_tools import plan
from trove_upgrade.schema_tools.probe import Answer, Blocks, Source, Work
from trove_upgrade.schema_tools.probe.risk import WAITING

_KINDS = {'mariadb': 'MariaDB', 'mysql': 'MySQL', 'postgresql': 'PostgreSQL', 'sqlite': 'SQLite'}


def add_commands(nested: Commands, chain: Chain = MAIN) -> None:
    """Add `plan` to the commands of `db`."""
    parser = nested.add(
        'plan',
        'what would run, in order: the SQL, its locks and risks, and the rows to migrate',
        description='Changes nothing. MariaDB, MySQL and PostgreSQL are asked on empty copies of '
        'the tables, which are dropped again.',
    )
    parser.add_argument('--json', action='store_true', help='as JSON, in a form that stays')
    parser.add_argument(
        '--dialect',
        choices=DIALECTS,
        metavar='DIALECT',
        help=f'the SQL for another kind of server, which is not asked: {", ".join(DIALECTS)}',
    )
    parser.set_defaults(command=functools.partial(_plan, chain))


def _plan(chain: Chain, run: Context, arguments: argparse.Namespace) -> None:
    made = plan.make(run.repositories.database.engine, chain, arguments.dialect)
    if arguments.json:
        print(json.dumps(plan.as_json(made), indent=2))
    else:
        _print(made)


def _print(made: plan.Plan) -> None:
    server = f'{_KINDS[made.server]} {made.server_version}'.strip()
    sql_for = (
        f'; the SQL is for {_KINDS[made.dialect]}, which was not asked'
        if made.dialect != made.server
        else ''
    )
    print_line(f'{server}, at {made.version}{sql_for}.')
    if not made.steps:
        print('Nothing is left to run.')
    for number, step in enumerate(made.steps, start=1):
        print()
        if isinstance(step, plan.DataStep):
            print_line(f'{number}. {step.phase}: data migration {step.migration}')
            print_line(f'     {_rows(step)}')
            continue
        print_line(f'{number}. {step.phase}: {step.revision} - {step.title}')
        for one in step.statements:
            _print_statement(one)
        if not step.statements:
            print('   no statement')
    print()
    for note in made.notes:
        print_line(f'Note: {note}')
    if made.steps:
        print_line(
            f'Highest risk: {made.risk}.'
            + (f' Next: trove-upgrade-manage db {made.next}' if made.next else '')
        )


def _print_statement(one: plan.Planned) -> None:
    print(
        textwrap.indent(
            '\n'.join(line.rstrip() for line in one.sql.expandtabs(2).splitlines() if line.strip()),
            '   ',
        )
    )
    size = f' of about {one.size.rows} rows' if one.size else ''
    rebuild = {None: 'not known', True: 'yes', False: 'no'}[one.answer.rebuilds]
    risk = f'{one.risk.level} - {one.risk.reason}' if one.risk else 'not asked'
    print_line(
        f'     table: {one.table or "-"}{size} · rebuild: {rebuild} · lock: {_lock(one.answer)}'
    )
    print_line(f'     risk: {risk}')


def _lock(answer: Answer) -> str:
    if answer.source is Source.NOT_ASKED:
        return f'not asked: {answer.detail}'
    if answer.work is Work.NONE:
        return f'none ({answer.detail})'
    words = WAITING.get(answer.blocks, f'{answer.blocks} wait')
    words += (
        ' for a moment'
        if answer.work is Work.METADATA and answer.blocks is not Blocks.NOTHING
        else ''
    )
    said = '; '.join(
        part
        for part in (
            answer.lock,
            'asked of the server' if answer.source is Source.ASKED else 'known',
            answer.detail,
        )
        if part
    )
    return f'{words} ({said})'


def _rows(step: plan.DataStep) -> str:
    if step.rows is None or step.seconds is None:
        return (
            f'rows: not known until its expand has been run · {step.rate:.0f} rows/s '
            f'({step.rate_source})'
        )
    rows = (
        f'{step.rows} rows' if step.rows_source == 'counted' else f'at most about {step.rows} rows'
    )
    return (
        f'{rows} · about {_duration(step.seconds)} at {step.rate:.0f} rows/s ({step.rate_source})'
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f'{max(1, round(seconds))} s'
    return f'{round(seconds / 60)} min' if seconds < 7200 else f'{seconds / 3600:.1f} h'

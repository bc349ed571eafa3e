# SPDX-License-Identifier: Apache-2.0
"""`db lint`: whether revisions are safe while services run.  It needs no database."""

import argparse
import dataclasses
import json
import textwrap
from collections.abc import Sequence

from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.manage.context import Context
from trove_upgrade.db import errors
from trove_upgrade.db.migrations.chain import MAIN, STANDALONE, Chain
from trove_upgrade.db.migrations.exit_codes import ExitCode
from trove_upgrade.schema_tools.lint import Finding, lint

_CHAINS = (MAIN, STANDALONE)
_WIDTH = 110


def add_commands(nested: Commands) -> None:
    """Add `lint` to the commands of `db`."""
    parser = nested.add(
        'lint',
        'refuse revisions that are not safe while services run; needs no database',
        description='Looks at revisions as operations and as SQL, and really runs them in memory. '
        'Exit code 8 if something is not safe and the revision does not say why it '
        'may be.',
    )
    parser.add_argument('revisions', nargs='*', metavar='REV', help='a revision (default: all)')
    parser.add_argument(
        '--json', action='store_true', help='print the findings as a list of JSON objects'
    )
    parser.set_defaults(command=_lint)


def _lint(_run: Context, arguments: argparse.Namespace) -> ExitCode:
    return report(_CHAINS, arguments.revisions, as_json=arguments.json)


def report(chains: Sequence[Chain], revisions: Sequence[str], *, as_json: bool) -> ExitCode:
    """Print what stands against these revisions of these chains.

    :raises RevisionUnknown: one of them is in no chain.
    """
    known = [
        one.revision
        for chain in chains
        for branch in chain.branches
        for one in chain.revisions(branch)
    ]
    for revision in revisions:
        if revision not in known:
            raise errors.RevisionUnknown(name=revision, found=f'there are {", ".join(known)}')
    findings = [finding for chain in chains for finding in lint(chain, revisions or None)]
    if as_json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    else:
        _print(findings, len(set(revisions) or known))
    return ExitCode.LINT_REFUSED if findings else ExitCode.DONE


def _print(findings: Sequence[Finding], count: int) -> None:
    for finding in findings:
        print(f'{finding.revision}: {finding.code}: {finding.found}')
        if finding.statement:
            on = f' ({", ".join(finding.dialects)})'
            statement = textwrap.shorten(finding.statement, 400, placeholder=' ...')
            print(_wrapped('statement', statement + on))
        print(_wrapped('why', finding.why))
        print(_wrapped('instead', finding.instead))
        print(_wrapped('page', finding.page))
        print()
    print(
        f'{count} revisions, {len(findings)} findings.'
        if findings
        else f'{count} revisions, nothing found.'
    )


def _wrapped(name: str, text: str) -> str:
    first, rest = f'  {name}:'.ljust(13), ' ' * 13
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )

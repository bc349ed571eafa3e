# SPDX-License-Identifier: Apache-2.0
"""The files of the revisions: whether they are one tree that two developers have not both
changed.
"""

import pathlib
import re

import alembic.script

from trove_upgrade.db import errors
from trove_upgrade.db.migrations.chain import STANDALONE, Chain, release_of

__all__ = ['STANDALONE', 'faults', 'head_file', 'revision']

_ID = re.compile(r'(?P<release>[a-z]+)_(?P<branch>[a-z]+)[0-9]{2}')
_LONGEST_ID = 32  # the width of alembic's version column
#: Beside the sources: every revision has a function check_<revision> there that looks at its
#: outcome on a real server.
_CHECKS = (
    pathlib.Path(__file__).parents[2] / 'tests' / 'functional' / 'schema' / 'revision_checks.py'
)


def revision(chain: Chain, name: str) -> alembic.script.Script:
    """Return a revision by its whole id.

    :raises RevisionUnknown: there is none.
    """
    known = [one.revision for branch in chain.branches for one in chain.revisions(branch)]
    # Alembic would take the beginning of an id, too, and fail at an empty one
    if name not in known:
        raise errors.RevisionUnknown(name=name, found=f'there are {", ".join(known)}')
    return chain.script().get_revision(name)


def head_file(chain: Chain, branch: str) -> pathlib.Path:
    """Holds the id of the branch's newest revision, so that two changes at once are a conflict that
    git sees.
    """
    return chain.locations[0].parents[1] / f'{branch.upper()}_HEAD'


def faults(chain: Chain) -> list[str]:
    """Return what is wrong with the tree, a line for each; nothing is, if empty."""
    script = chain.script()
    everything = list(script.walk_revisions())
    found = [f'{one.revision}: {fault}' for one in everything for fault in _faults_of(chain, one)]
    heads = [script.get_revision(head) for head in script.get_heads()]
    for branch in chain.branches:
        ends = [one.revision for one in heads if branch in one.branch_labels]
        if len(ends) != 1:
            found.append(
                f'branch {branch} has {len(ends)} heads ({", ".join(ends)}): merge what two '
                'changes have added'
            )
        elif len(chain.branches) > 1:
            found += _head_file_fault(chain, branch, ends[0])
    return found + _missing_releases(chain)


def _faults_of(chain: Chain, one: alembic.script.Script) -> list[str]:
    labels = sorted(one.branch_labels)
    parts = _ID.fullmatch(one.revision)
    found = []
    if parts is None or len(one.revision) > _LONGEST_ID or parts['branch'] not in chain.branches:
        found.append(
            f'the id is not <release>_<{"|".join(chain.branches)}>NN in {_LONGEST_ID} characters '
            'at most'
        )
    elif labels != [parts['branch']]:
        found.append(
            f'it is labelled {", ".join(labels) or "nothing"}, but named for {parts["branch"]}'
        )
    if one.dependencies:
        found.append(
            'depends_on makes the other branch vanish from the version table: leave it away, the '
            'runner orders'
        )
    if one.is_merge_point:
        found.append('it merges two revisions: put one behind the other instead')
    if (
        len(chain.branches) > 1
        and _CHECKS.exists()
        and f'def check_{one.revision}(' not in _CHECKS.read_text(encoding='utf-8')
    ):
        found.append(f'no check_{one.revision} in {_CHECKS.name}: write what must be true after it')
    return found


def _head_file_fault(chain: Chain, branch: str, head: str) -> list[str]:
    path = head_file(chain, branch)
    said = path.read_text(encoding='utf-8').strip() if path.exists() else 'nothing'
    return [] if said == head else [f'{path.name} says {said}, the head is {head}: write it there']


def _missing_releases(chain: Chain) -> list[str]:
    by_branch = {
        branch: {release_of(one.revision) for one in chain.revisions(branch)}
        for branch in chain.branches
    }
    every = set().union(*by_branch.values())
    return [
        f'release {release} has no revision in branch {branch}: add an empty one'
        for branch, releases in by_branch.items()
        for release in sorted(every - releases)
    ]

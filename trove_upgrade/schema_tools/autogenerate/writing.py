# SPDX-License-Identifier: Apache-2.0
"""Writes revisions where they belong: their number, what they follow, and the HEAD files."""

import contextlib
import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence

from trove_upgrade.db import errors
from trove_upgrade.db.migrations.chain import BRANCHES, Chain, release_of
from trove_upgrade.schema_tools.autogenerate import data_rendering
from trove_upgrade.schema_tools.autogenerate.comparing import Comparison
from trove_upgrade.schema_tools.autogenerate.pieces import Rows, Split
from trove_upgrade.schema_tools.autogenerate.rendering import Renderer

_RELEASE = re.compile(r'[a-z]+')
_LONGEST_ID = 32  # the width of Alembic's version column
_LONGEST_SLUG = 40
_LONGEST_NAME = 64  # of a data migration, in its table


@dataclasses.dataclass(frozen=True)
class Tree:
    """Directories in which revisions and data migrations are written."""

    chain: Chain
    versions: pathlib.Path
    data: pathlib.Path

    @classmethod
    def of(cls, chain: Chain) -> 'Tree':
        """The folders that the chain was read from."""
        versions = chain.locations[0].parents[1]
        return cls(chain, versions, versions.parent / 'data')

    def release(self, name: str | None) -> str:
        """Return the release to write for: the one named, or the newest.

        :raises RevisionNotWritten: it is no name of a release, or one before the newest.
        """
        known = self.chain.releases()
        name = name or (known[-1] if known else '')
        if not _RELEASE.fullmatch(name) or len(f'{name}_contract00') > _LONGEST_ID:
            raise errors.RevisionNotWritten(
                found=f'"{name}" is no name of a release',
                advice='Take lower-case letters, 21 at most.',
            )
        if name in known[:-1]:
            raise errors.RevisionNotWritten(
                found=f'release {name} has ended: {known[-1]} follows it',
                advice=f'Take {known[-1]}, or a new name.',
            )
        return name

    def next_id(self, release: str, branch: str) -> str:
        """Return the id of the release's next revision in a branch.

        :raises RevisionNotWritten: 99 there are.
        """
        numbers = (
            [
                int(one.revision[-2:])
                for one in self.chain.revisions(branch)
                if release_of(one.revision) == release
            ]
            if self.chain.locations
            else []
        )
        number = max(numbers, default=0) + 1
        if number > 99:
            raise errors.RevisionNotWritten(
                found=f'release {release} has 99 revisions in branch {branch}',
                advice='Begin a new release.',
            )
        return f'{release}_{branch}{number:02d}'


@dataclasses.dataclass(frozen=True)
class Written:
    """Files that were written, and work that is left."""

    files: tuple[pathlib.Path, ...]
    warnings: tuple[str, ...]
    to_do: tuple[str, ...]


def write_empty(
    tree: Tree, message: str, *, release: str | None, branches: Sequence[str]
) -> Written:
    """Revisions that do nothing yet.

    :raises RevisionNotWritten: the name of the release, or of a file, will not do.
    """
    release = tree.release(release)
    wanted = _with_new_release(tree, release, branches)
    texts = {
        branch: Renderer(None).revision(
            (),
            message=message,
            revision=tree.next_id(release, branch),
            branch=branch,
            down_revision=_head(tree, branch),
        )
        for branch in wanted
    }
    return _write(tree, release, message, texts, {}, ())


def write_split(
    tree: Tree,
    split: Split,
    comparison: Comparison,
    message: str,
    *,
    release: str | None,
    branches: Sequence[str],
) -> Written:
    """Revisions of the branches that have something to do, and the skeletons of data migrations.

    :raises RevisionNotWritten: the name of the release, or of a file, will not do.
    """
    release = tree.release(release)
    pieces = {'expand': split.expand, 'contract': split.contract}
    left = [branch for branch in BRANCHES if pieces[branch] and branch not in branches]
    wanted = _with_new_release(
        tree, release, [branch for branch in branches if pieces[branch] and branch not in left]
    )
    ids = {branch: tree.next_id(release, branch) for branch in BRANCHES}
    texts = {
        branch: Renderer(comparison.context).revision(
            pieces[branch] if branch in branches else (),
            message=message,
            revision=ids[branch],
            branch=branch,
            down_revision=_head(tree, branch),
        )
        for branch in wanted
    }
    data = {}
    if split.rows and 'contract' in wanted:
        after = ids['expand'] if 'expand' in wanted else _head(tree, 'expand') or ''
        data = _migrations(tree, release, message, split.rows, comparison, after, ids['contract'])
    warnings = [
        f'Branch {branch} has changes, too, which were not asked for and are not written.'
        for branch in left
    ]
    return _write(tree, release, message, texts, data, (*split.warnings, *warnings))


def _with_new_release(tree: Tree, release: str, branches: Sequence[str]) -> list[str]:
    """A release has a revision in each branch from its beginning, so that "at release X" can be
    said of both.
    """
    is_new = release not in tree.chain.releases()
    return [branch for branch in BRANCHES if is_new or branch in branches]


def _head(tree: Tree, branch: str) -> str | None:
    return tree.chain.head(branch) if tree.chain.locations else None


def _migrations(
    tree: Tree,
    release: str,
    message: str,
    rows: Sequence[Rows],
    comparison: Comparison,
    after: str,
    before: str,
) -> dict[pathlib.Path, str]:
    """Render one data migration for each table whose rows have to be changed."""
    tables = list(dict.fromkeys(one.table for one in rows))
    found = {}
    for table in tables:
        name = f'{release}_{slug(message)}' + (f'_{table}' if len(tables) > 1 else '')
        name = name[:_LONGEST_NAME].rstrip('_')
        found[tree.data / f'{name}.py'] = data_rendering.module(
            Renderer(comparison.context),
            comparison.before.tables[table],
            comparison.metadata.tables[table],
            [one for one in rows if one.table == table],
            message=' '.join(message.split()).replace('"', "'"),
            name=name,
            after=after,
            before=before,
        )
    return found


def slug(message: str) -> str:
    """The message as part of a file's name."""
    words = re.sub(r'[^a-z0-9]+', '_', message.lower()).strip('_')
    return words[:_LONGEST_SLUG].rstrip('_') or 'change'


def _write(
    tree: Tree,
    release: str,
    message: str,
    texts: Mapping[str, str],
    data: Mapping[pathlib.Path, str],
    warnings: Sequence[str],
) -> Written:
    """All or, where a file is there already, nothing."""
    ids = {branch: tree.next_id(release, branch) for branch in texts}
    files = {
        tree.versions / release / branch / f'{ids[branch]}_{slug(message)}.py': text
        for branch, text in texts.items()
    } | dict(data)
    for path, text in files.items():
        if path.exists():
            raise errors.RevisionNotWritten(
                found=f'{path.name} is there already', advice='Take another message.'
            )
        compile(text, path.name, 'exec')
    files |= {
        tree.versions / f'{branch.upper()}_HEAD': f'{revision}\n'
        for branch, revision in ids.items()
    }
    _write_all(files)
    return Written(tuple(files), tuple(warnings), tuple(_to_do(ids, data)))


def _write_all(files: Mapping[pathlib.Path, str]) -> None:
    """Write all files or none: what there was before is there again after an error.

    :raises RevisionNotWritten: a file cannot be written.
    """
    before = {path: path.read_text(encoding='utf-8') if path.exists() else None for path in files}
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding='utf-8')
    except OSError as error:
        for path, former in before.items():
            with contextlib.suppress(OSError):  # the error that is raised says what to do
                path.unlink(missing_ok=True) if former is None else path.write_text(
                    former, encoding='utf-8'
                )
        raise errors.RevisionNotWritten(
            found=f'{error.filename or path} cannot be written ({error.strerror})',
            advice='Run it in a checkout of trove-upgrade that is yours, on a disk with space.',
        ) from error


def _to_do(ids: Mapping[str, str], data: Mapping[pathlib.Path, str]) -> list[str]:
    found = [
        f'Fill in {path.name} and add {data_rendering.class_name(path.stem)}() to MIGRATIONS in '
        'data/__init__.py.'
        for path in data
    ]
    found += [
        f'Write check_{revision} in tests/functional/schema/revision_checks.py: what must be true '
        'after it.'
        for revision in ids.values()
    ]
    return [
        *found,
        (
            'Read what was written, then run "trove-upgrade-manage db lint" and '
            '"trove-upgrade-manage db plan".'
        ),
    ]

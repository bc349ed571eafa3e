# SPDX-License-Identifier: Apache-2.0
"""Chains of revisions: a chain is what shares a version table, and has one head per branch."""

import dataclasses
import functools
import io
import pathlib
from collections.abc import Sequence
from typing import Any, cast

import alembic.config
import alembic.script

from trove_upgrade.db import errors
from trove_upgrade.db.migrations.data import MIGRATIONS
from trove_upgrade.db.migrations.data.migration import DataMigration

_HERE = pathlib.Path(__file__).parent
BRANCHES = ('expand', 'contract')


def release_of(revision: str) -> str:
    """Return the release in a revision's id: 'borealis' of 'borealis_expand01'."""
    return revision.partition('_')[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chain:
    """Revisions that share a version table, and the data migrations that belong between its
    branches.
    """

    name: str
    version_table: str
    branches: tuple[str, ...]
    locations: tuple[pathlib.Path, ...]  #: folders of revisions
    data: tuple[DataMigration, ...] = ()  #: in the order in which they run

    @classmethod
    def of(
        cls,
        versions: pathlib.Path,
        data: tuple[DataMigration, ...] = (),
        *,
        version_table: str = 'alembic_version_trove_upgrade',
    ) -> 'Chain':
        """A chain of expand and contract revisions in `versions`/<release>/<branch>/."""
        return cls(
            name='main',
            version_table=version_table,
            branches=BRANCHES,
            locations=tuple(
                sorted(versions.glob('*/expand')) + sorted(versions.glob('*/contract'))
            ),
            data=data,
        )

    def config(
        self, output: io.TextIOBase | None = None, **attributes: Any
    ) -> alembic.config.Config:
        """Return what Alembic's commands take; `attributes` are handed to env.py."""
        config = alembic.config.Config(
            output_buffer=cast('Any', output), stdout=cast('Any', output or io.StringIO())
        )
        config.set_main_option('script_location', str(_HERE).replace('%', '%%'))
        config.set_main_option('path_separator', 'newline')
        config.set_main_option('version_path_separator', 'newline')
        config.set_main_option(
            'version_locations',
            '\n'.join(str(folder).replace('%', '%%') for folder in self.locations),
        )
        config.attributes.update(version_table=self.version_table, **attributes)
        return config

    def script(self) -> alembic.script.ScriptDirectory:
        """The revisions as Alembic reads them."""
        return _script(
            self,
            tuple(
                (path, path.stat().st_mtime_ns)
                for folder in self.locations
                for path in sorted(folder.glob('*.py'))
            ),
        )

    def revisions(self, branch: str) -> list[alembic.script.Script]:
        """Return the revisions of one branch, oldest first; empty where nothing has been written
        yet.
        """
        script = self.script()
        ours = [one for one in script.walk_revisions() if branch in one.branch_labels]
        return list(reversed(ours))

    def head(self, branch: str) -> str | None:
        """The newest revision of a branch."""
        revisions = self.revisions(branch)
        return revisions[-1].revision if revisions else None

    def upto(self, branch: str, revisions: Sequence[str], target: str | None) -> tuple[str, ...]:
        """Return those of `revisions` that `target` asks for: a release, a revision, the first N as
        '+N', or all where it is None.

        :raises RevisionUnknown: the target is none of these.
        """
        if target is None:
            return tuple(revisions)
        if target.startswith('+') and target[1:].isdigit():
            return tuple(revisions[: int(target[1:])])
        order = self.releases()
        if target in order:
            return tuple(
                one for one in revisions if order.index(release_of(one)) <= order.index(target)
            )
        known = [one.revision for one in self.revisions(branch)]
        if target not in known:
            raise errors.RevisionUnknown(
                name=target, found=f'branch {branch} has {", ".join(known) or "none"}'
            )
        return tuple(one for one in revisions if known.index(one) <= known.index(target))

    def heads_of(self, names: Sequence[str]) -> dict[str, str]:
        """Return, by branch, the revision that is named for it; 'heads' is the newest of each.

        :raises RevisionUnknown: one is no revision.
        :raises RevisionsContradict: two of the same branch are named.
        """
        known = {one.revision: branch for branch in self.branches for one in self.revisions(branch)}
        found: dict[str, str] = {}
        for name in names:
            branches = self.branches if name in {'head', 'heads'} else [known.get(name, '')]
            for branch in branches:
                if branch not in self.branches:
                    raise errors.RevisionUnknown(name=name, found=f'there are {", ".join(known)}')
                if branch in found:
                    raise errors.RevisionsContradict(name=name, branch=branch, other=found[branch])
                found[branch] = self.head(branch) or '' if name in {'head', 'heads'} else name
        return found

    def goals(self, version: str | None) -> dict[str, str | None]:
        """Return, by branch, how far a version leads it: all for None, else a release, a revision,
        or one of each branch as `db version` prints them.

        A branch that is not there is led nowhere by itself.

        :raises RevisionUnknown: a part is no revision.
        :raises RevisionsContradict: two of the same branch are named.
        """
        if version is None or version in self.releases():
            return dict.fromkeys(self.branches, version)
        return dict(self.heads_of([part.strip() for part in version.split(',')]))

    def releases(self) -> list[str]:
        """Return the releases that have revisions, oldest first."""
        return list(
            dict.fromkeys(release_of(one.revision) for one in self.revisions(self.branches[0]))
        )


@functools.lru_cache(maxsize=32)
def _script(
    chain: Chain, _files: tuple[tuple[pathlib.Path, int], ...]
) -> alembic.script.ScriptDirectory:
    """Reading all files takes tens of milliseconds, and a run asks for them dozens of times."""
    return alembic.script.ScriptDirectory.from_config(chain.config())


MAIN = Chain.of(_HERE / 'versions', MIGRATIONS)
STANDALONE = Chain(
    name='standalone',
    version_table='alembic_version_trove_upgrade_standalone',
    branches=('standalone',),
    locations=(_HERE / 'standalone' / 'versions',),
)

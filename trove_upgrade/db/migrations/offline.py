# SPDX-License-Identifier: Apache-2.0
"""The SQL of revisions for an administrator to run; nothing is connected to."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext

from trove_upgrade.db.migrations.chain import Chain
from trove_upgrade.db.migrations.recording import record


def sql(chain: Chain, branches: Sequence[str], target: str | None, dialect: str) -> str:
    """A script: every revision of the branches up to `target`, after the one that `target` names
    before a colon, if it does.

    It keeps the version table as our own runs do, so that either may go on where the other ended.

    :raises RevisionUnknown: the target names no revision, and no release.
    """
    start, _, end = (target or '').rpartition(':')
    lines = [] if start else [f'{_version_table(chain, dialect)};', '']
    for branch in branches:
        known = [one.revision for one in chain.revisions(branch)]
        before = chain.upto(branch, known, start) if start else ()
        for revision in chain.upto(branch, known, end or None)[len(before) :]:
            lines += [
                f'-- {revision}',
                *(
                    f'-- before it: trove-upgrade-manage db data run {one.name}'
                    for one in chain.data
                    if one.before == revision
                ),
                *(f'{statement};' for statement in _statements(chain, known, revision, dialect)),
                '',
            ]
    return '\n'.join(lines)


def _statements(chain: Chain, known: Sequence[str], revision: str, dialect: str) -> Iterator[str]:
    yield from record(chain, revision, dialect).statements
    place = known.index(revision)
    if place:
        yield (
            f"UPDATE {chain.version_table} SET version_num = '{revision}' WHERE version_num = "
            f"'{known[place - 1]}'"
        )
    else:
        yield f"INSERT INTO {chain.version_table} (version_num) VALUES ('{revision}')"


def _version_table(chain: Chain, dialect: str) -> str:
    context = MigrationContext.configure(
        dialect_name=dialect, opts={'version_table': chain.version_table, 'as_sql': True}
    )
    create = sa.schema.CreateTable(context._version, if_not_exists=True)  # noqa: SLF001 - Alembic has no other word for it
    return str(create.compile(dialect=context.dialect)).strip()

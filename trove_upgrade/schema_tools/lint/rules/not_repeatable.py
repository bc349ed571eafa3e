# SPDX-License-Identifier: Apache-2.0
"""A run that was killed half way and cannot be started again."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.rule import Hit, Rule, place
from trove_upgrade.schema_tools.lint.subject import Subject
from trove_upgrade.schema_tools.sql.changes import Change, Kind

#: What may be done twice: the second time it finds everything as it wants it.
_REPEATABLE = {
    Kind.SET_TYPE,
    Kind.SET_NOT_NULL,
    Kind.DROP_NOT_NULL,
    Kind.SET_DEFAULT,
    Kind.DROP_DEFAULT,
    Kind.UPDATE,
    Kind.DELETE,
    Kind.COMMENT,
    Kind.SESSION,
    Kind.UNKNOWN,
}
#: Where IF [NOT] EXISTS is known to every server; MySQL does not know it of a column or an index.
_GUARDED_EVERYWHERE = {Kind.CREATE_TABLE, Kind.DROP_TABLE, Kind.INSERT}


def _is_guarded(change: Change, dialects: set[str]) -> bool:
    return change.guarded and (change.kind in _GUARDED_EVERYWHERE or 'mysql' not in dialects)


def _bare_changes(subject: Subject) -> Iterator[Hit]:
    servers: dict[tuple[Kind, str], set[str]] = {}
    for seen in subject.seen:
        servers.setdefault((seen.change.kind, place(seen)), set()).add(seen.dialect)
    for seen in subject.seen:
        change = seen.change
        key = (change.kind, place(seen))
        if (
            not seen.ensured
            and change.kind not in _REPEATABLE
            and not _is_guarded(change, servers[key])
        ):
            yield Hit(
                f'{change.kind} {place(seen)}',
                f'"{change.kind}" ({place(seen)}) is done without looking whether it has been done',
                seen,
            )


def _hits(subject: Subject) -> Iterator[Hit]:
    """Yield first what can be read; the proof by running it is for what cannot."""
    bare = list(_bare_changes(subject))
    yield from bare
    if not bare:
        yield from (
            Hit('upgrade()', fault.found)
            for fault in subject.readings.faults(subject.revision)
            if not fault.at_once
        )


RULE = Rule(
    code='NOT_REPEATABLE',
    why='A run that is killed between two statements leaves the first one done on MySQL, which '
    'has no transactions for such statements; started again, it fails there and never comes '
    'further.',
    instead='Use the ensure_* functions of ops, which look first.',
    check=_hits,
)

# SPDX-License-Identifier: Apache-2.0
"""Facts of one table, as a fingerprint has them.

A fingerprint lies in a stash, and its digest travels: the keys and values of `to_json` are never
changed, and a key whose fact is not known is not written.
"""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, Self, TypeVar


class TableKind(enum.StrEnum):
    """The kinds that a fingerprint tells apart; the values stand in reports, too."""

    TABLE = 'table'
    VERSIONED = 'versioned'  #: keeps the history of its rows
    SEQUENCE = 'sequence'
    VIEW = 'view'


class ChecksumOf(enum.StrEnum):
    """Checksums that are not the server's own."""

    VALUES = 'values'  #: of the values that the users gave


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowFacts:
    """Count and checksum of a table's rows.  None: not known, or there is none."""

    count: int | None
    checksum: str | None
    #: None: the server's own.  A word that is not in `ChecksumOf` is of another release.
    checksum_of: ChecksumOf | str | None = None
    history: int | None = None  #: rows that are not current
    checksum_of_all: str | None = None  #: with the values of invisible columns


#: Rows that were not read.
NOT_READ = RowFacts(count=None, checksum=None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableFacts:
    """Facts of one table, sequence or view."""

    kind: TableKind | str  #: a word that is not in `TableKind` is of another release
    rows: RowFacts
    columns: str = ''  #: digest of their names and types; '': the agent knew none
    #: kind of parts -> name -> digest; empty: it has none, or the agent knew none
    structure: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in the document of a fingerprint."""
        optional = {
            'checksum_of': self.rows.checksum_of,
            'history_rows': self.rows.history,
            'checksum_of_all': self.rows.checksum_of_all,
        }
        return {
            'rows': self.rows.count,
            'checksum': self.rows.checksum,
            'kind': self.kind,
            'columns': self.columns,
            'structure': self.structure,
            **{key: value for key, value in optional.items() if value is not None},
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what an agent of this or of another release has written; keys that only a later one
        knows are ignored.

        :raises KeyError: a fact is missing that every release writes.
        """
        return cls(
            kind=_known(TableKind, document['kind']),
            rows=RowFacts(
                count=document['rows'],
                checksum=document['checksum'],
                checksum_of=_known(ChecksumOf, document.get('checksum_of')),
                history=document.get('history_rows'),
                checksum_of_all=document.get('checksum_of_all'),
            ),
            columns=document.get('columns') or '',
            structure=document.get('structure') or {},
        )


_Enum = TypeVar('_Enum', bound=enum.StrEnum)


def _known(kind: type[_Enum], word: Any) -> Any:
    """Return the member of this word, or the word of another release as it is."""
    return kind(word) if word in set(kind) else word

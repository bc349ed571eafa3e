# SPDX-License-Identifier: Apache-2.0
"""As much of a statement's grammar as is needed to do it to another table.

Where a statement is not of a form that is known here it is OTHER, and never tried: a wrong guess
could touch the real table.
"""

import dataclasses
import enum
import re

_NAME = r'(?:"[^"]+"|`[^`]+`|[\w$]+)'
_DOTTED = rf'(?P<name>{_NAME}(?:\s*\.\s*{_NAME})?)'
_TYPE = r'(?P<type>(?:UNIQUE|FULLTEXT|SPATIAL)\s+)?'
_CONCURRENTLY = r'(?P<concurrently>CONCURRENTLY\s+)?'
_IF = r'(?:IF\s+(?:NOT\s+)?EXISTS\s+)?'


class Kind(enum.StrEnum):
    """Kind of a statement."""

    CREATE_TABLE = enum.auto()
    DROP_TABLE = enum.auto()
    RENAME_TABLE = enum.auto()
    ALTER_TABLE = enum.auto()
    CREATE_INDEX = enum.auto()
    DROP_INDEX = enum.auto()
    ROWS = enum.auto()  #: INSERT, UPDATE, DELETE
    SESSION = enum.auto()  #: SET, BEGIN, COMMIT: nothing of the data
    OTHER = enum.auto()


_FORMS: tuple[tuple[Kind, str], ...] = (
    (Kind.CREATE_TABLE, rf'CREATE\s+TABLE\s+{_IF}{_DOTTED}'),
    (Kind.DROP_TABLE, rf'DROP\s+TABLE\s+{_IF}{_DOTTED}\s*(?:CASCADE|RESTRICT)?$'),
    (
        Kind.RENAME_TABLE,
        rf'ALTER\s+TABLE\s+{_IF}{_DOTTED}\s+RENAME\s+(?:TO\s+|AS\s+)?(?P<new>(?!COLUMN\b|INDEX\b|KEY\b|CONSTRAINT\b){_NAME})$',
    ),
    (Kind.RENAME_TABLE, rf'RENAME\s+TABLE\s+{_DOTTED}\s+TO\s+(?P<new>{_NAME})$'),
    (Kind.ALTER_TABLE, rf'ALTER\s+TABLE\s+(?:ONLY\s+)?{_IF}{_DOTTED}\s+(?P<rest>.+)$'),
    (
        Kind.CREATE_INDEX,
        rf'CREATE\s+{_TYPE}INDEX\s+{_CONCURRENTLY}{_IF}(?P<index>{_NAME})\s+ON\s+{_DOTTED}\s*(?P<rest>.+)$',
    ),
    (
        Kind.DROP_INDEX,
        rf'DROP\s+INDEX\s+{_CONCURRENTLY}{_IF}(?P<index>{_NAME})(?:\s+ON\s+{_DOTTED})?(?P<rest>.*)$',
    ),
    (Kind.ROWS, rf'(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+{_DOTTED}'),
    (Kind.SESSION, r'(?:SET|BEGIN|COMMIT|START\s+TRANSACTION)\b'),
)
_PATTERNS = tuple(
    (kind, re.compile(pattern, re.IGNORECASE | re.DOTALL)) for kind, pattern in _FORMS
)


#: Texts and quoted names in one go: either may hold the other's quote.
_MYSQL_QUOTED = re.compile(
    r"""(?P<text>'(?:\\.|''|[^'\\])*'|"(?:\\.|""|[^"\\])*")|`[^`]*`""", re.DOTALL
)
_QUOTED = re.compile(r"""(?P<text>'(?:''|[^'])*')|"[^"]*\"""", re.DOTALL)

#: Two statements, comments, and PostgreSQL's other forms of a text.
_UNKNOWN_FORMS = re.compile(r"""[;#']|/\*|--|\$\$|\bE__""", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parsed:
    """One statement, taken apart; names are without their quotes, `rest` is the text as it was."""

    kind: Kind
    sql: str
    table: str = ''  #: '' where none is named, or where it is named with its schema
    new_table: str = ''  #: of RENAME_TABLE
    index: str = ''
    index_type: str = ''  #: 'UNIQUE', 'FULLTEXT', ...
    concurrently: bool = False
    rest: str = ''  #: what follows the table's name
    #: of ALTER_TABLE: its parts, without the texts in quotes, in upper case
    actions: tuple[str, ...] = ()


def parse(sql: str, *, backslashes: bool) -> Parsed:
    """`backslashes`: whether one escapes a quote in a text, as on MySQL."""
    sql = sql.strip().rstrip(';').strip()
    masked = _without_texts(sql, backslashes=backslashes)
    if _UNKNOWN_FORMS.search(masked):
        return Parsed(kind=Kind.OTHER, sql=sql)
    for kind, pattern in _PATTERNS:
        if found := pattern.match(masked):
            return _parsed(kind, sql, masked, found)
    return Parsed(kind=Kind.OTHER, sql=sql)


def _parsed(kind: Kind, sql: str, masked: str, found: re.Match[str]) -> Parsed:
    groups = found.groupdict()
    start, end = found.span('rest') if groups.get('rest') else (len(sql), len(sql))
    return Parsed(
        kind=kind,
        sql=sql,
        table=_bare(groups.get('name')),
        new_table=_bare(groups.get('new')),
        index=_bare(groups.get('index')),
        index_type=(groups.get('type') or '').strip().upper(),
        concurrently=bool(groups.get('concurrently')),
        rest=sql[start:end],
        actions=tuple(split(masked[start:end])) if kind is Kind.ALTER_TABLE else (),
    )


def _bare(name: str | None) -> str:
    """Of a name with a schema nothing: the copy stands in the schema that is the connection's
    own.
    """
    return '' if not name or re.fullmatch(_NAME, name) is None else name.strip('"`')


def _without_texts(sql: str, *, backslashes: bool) -> str:
    """Each text as as many underscores, so that every place stays where it was; quoted names
    stay.
    """
    return (_MYSQL_QUOTED if backslashes else _QUOTED).sub(
        lambda found: '_' * len(found.group()) if found['text'] else found.group(), sql
    )


def split(masked: str) -> list[str]:
    """The parts between the commas that stand in no bracket, in upper case with single blanks."""
    parts, depth, part = [], 0, ''
    for character in masked:
        depth += {'(': 1, ')': -1}.get(character, 0)
        if character == ',' and depth == 0:
            parts.append(part)
            part = ''
        else:
            part += character
    return [' '.join(one.upper().split()) for one in [*parts, part]]

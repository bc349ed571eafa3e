# SPDX-License-Identifier: Apache-2.0
"""Comparison of a column's types: the new one still takes what is written into the old one now, or
not.  Types are compared as the server is told them.
"""

import enum
import re

_FORM = re.compile(r'^([A-Za-z][A-Za-z ]*)\s*(?:\(\s*([\d\s,]*)\))?\s*(.*)$', re.DOTALL)
_CHARACTERS = re.compile(r'\b(?:COLLATE|CHARACTER SET|CHARSET)\b', re.IGNORECASE)
_ENDLESS = 1 << 32
#: In characters: MySQL's TEXT is limited in bytes, of which a character may take four.
_TEXTS = {
    'tinytext': 63,
    'text': 16_383,
    'mediumtext': 4_194_303,
    'longtext': 1_073_741_823,
    'clob': _ENDLESS,
}
_MYSQL = {'mysql', 'mariadb'}
_INTEGERS = {'tinyint': 1, 'smallint': 2, 'mediumint': 3, 'int': 4, 'integer': 4, 'bigint': 8}


class Widening(enum.Enum):
    """Relation of a new type to the old one."""

    SAME = enum.auto()
    WIDER = enum.auto()  #: every value of the old fits, and is stored as it is
    NARROWER = enum.auto()  #: some value of the old does not fit
    OTHER = enum.auto()  #: another kind of value, or one for which every row is written anew


def compare(old: str, new: str, dialect: str) -> Widening:
    """Compare two types of the same server: the same, wider, narrower or another."""
    former, later = _normal(old, dialect), _normal(new, dialect)
    texts = [_parts(text)[0] in _TEXTS for text in (old, new)]
    if former == later and texts[0] == texts[1]:
        return Widening.SAME
    if former[0] != later[0] or former[2] != later[2] or len(former[1]) != len(later[1]):
        return Widening.OTHER
    sizes = list(zip(former[1], later[1], strict=True))
    if any(after < before for before, after in sizes):
        return Widening.NARROWER
    in_place = former[0] in {'text', 'numeric'}
    # MySQL copies the table for any other type than a longer VARCHAR, and writers wait
    if dialect in _MYSQL:
        in_place = former[0] == 'text' and not any(texts)
    return Widening.WIDER if in_place else Widening.OTHER


def _normal(text: str, dialect: str) -> tuple[str, tuple[int, ...], str]:
    """Family, sizes, and what else is said about it."""
    name, sizes, rest = _parts(text)
    is_mysql = dialect in _MYSQL
    unsigned = 'unsigned' if 'unsigned' in f'{name} {rest}' else ''
    name = name.replace(' unsigned', '').replace(' zerofill', '').strip()
    form = name, sizes, rest
    if name in {'varchar', 'character varying', 'nvarchar'}:
        form = 'text', sizes or (_ENDLESS,), ''
    elif name in _TEXTS:
        form = 'text', (_TEXTS[name] if is_mysql else _ENDLESS,), ''
    elif name in _INTEGERS:  # INTEGER(11) says how it is shown
        form = 'integer', (_INTEGERS[name],), unsigned
    elif name in {'numeric', 'decimal'} and sizes:
        scale = sizes[1] if len(sizes) > 1 else 0
        form = 'numeric', (sizes[0] - scale, scale), unsigned
    elif name.startswith(('datetime', 'timestamp', 'time')):
        zone = 'with time zone' if 'with time zone' in f'{name} {rest}' else ''
        form = name.split()[0], sizes or (0 if is_mysql else 6,), zone
    return form


def _parts(text: str) -> tuple[str, tuple[int, ...], str]:
    text = _CHARACTERS.split(text)[0].strip()
    match = _FORM.match(text)
    if match is None:
        return text, (), ''
    sizes = tuple(int(size) for size in (match[2] or '').split(',') if size.strip())
    return ' '.join(match[1].lower().split()), sizes, ' '.join(match[3].lower().split())

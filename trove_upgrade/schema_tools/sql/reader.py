# SPDX-License-Identifier: Apache-2.0
"""Reader of one statement's text: the one of the linter, the probe and the plan.

Only what revisions are made of is understood.  Whatever else there is (triggers, procedures,
several statements in one) is of no known form, which the probe never tries, and an UNKNOWN change,
about which a rule asks for a word.
"""

import re
from collections.abc import Callable, Sequence

from trove_upgrade.schema_tools.sql import indexes, rows, tables
from trove_upgrade.schema_tools.sql.changes import Change, Kind, unknown
from trove_upgrade.schema_tools.sql.statements import Form, Statement
from trove_upgrade.schema_tools.sql.tokens import Token, TokenKind, tokens_of
from trove_upgrade.schema_tools.sql.words import Words, masked

#: Kinds of tokens behind which anything may stand.
_UNREADABLE = {
    TokenKind.EXECUTABLE: 'a comment that MySQL or MariaDB runs',
    TokenKind.UNCLEAR: 'a quotation or a comment that cannot be read',
}
#: Outside of strings, to some kind of server the beginning of a comment or of a string, or the end
#: of a statement.  In a statement of a known form there is none of them, not even in a name.
_DOUBTFUL = re.compile(r'[;#]|/\*|--|\$\$')
#: Of which the names matter: the probe puts a copy's in their place.
_OF_A_COPY = {Form.ALTER_TABLE, Form.RENAME_TABLE, Form.CREATE_INDEX, Form.DROP_INDEX}
_STRINGS = {TokenKind.STRING, TokenKind.ESCAPED}
#: Settings that change what a quotation is.
_QUOTING = {'SQL_MODE', 'STANDARD_CONFORMING_STRINGS'}
_TRANSACTIONS = ('BEGIN', 'COMMIT', 'START TRANSACTION')


def read(sql: str, dialect: str) -> Statement:
    """Take the statement apart as this kind of server reads it."""
    every = tokens_of(sql, dialect)
    for kind, detail in _UNREADABLE.items():
        if any(token.kind is kind for token in every):
            return _of_no_form(Change(kind=Kind.UNKNOWN, detail=detail))
    tokens = [token for token in every if token.kind is not TokenKind.COMMENT]
    has_comments = len(tokens) < len(every)
    while tokens and tokens[-1].keyword == ';':
        tokens.pop()
    if not tokens:
        return _of_no_form()
    if any(token.keyword == ';' for token in tokens):
        return _of_no_form(Change(kind=Kind.UNKNOWN, detail='several statements in one'))
    found = _statement(tokens)
    if found.form is Form.COMMENT or not (has_comments or _is_doubtful(tokens, found)):
        return found
    return _of_no_form(*found.changes)


def _is_doubtful(tokens: Sequence[Token], found: Statement) -> bool:
    """Return whether some kind of server, in one of its modes, may read it in another way."""
    before = tokens[: len(tokens) - len(found.rest)] if found.form in _OF_A_COPY else ()
    return (
        _DOUBTFUL.search(masked(tokens)) is not None
        or any(token.kind is TokenKind.ESCAPED for token in tokens)
        or any(token.kind is TokenKind.EITHER for token in before)
    )


def _of_no_form(*changes: Change) -> Statement:
    return Statement(form=Form.OTHER, changes=changes)


def _statement(tokens: Sequence[Token]) -> Statement:
    words = Words(tokens)
    for first, read_on in _STATEMENTS.items():
        if words.take(*first.split()):
            return read_on(words)
    form = Form.SESSION if words.take_any(*_TRANSACTIONS) else Form.OTHER
    return Statement(form=form, changes=(unknown(tokens),))


def _drop_other(words: Words) -> Statement:
    return _of_no_form(unknown(words.rest))


def _comment(words: Words) -> Statement:
    before = words.rest
    said = words.take_any('TABLE', 'COLUMN')
    parts = words.full_name().parts
    table = parts[-2:-1] if said == 'COLUMN' else parts[-1:]
    known = (
        said
        and table
        and words.take('IS')
        and all(token.kind in _STRINGS or token.keyword == 'NULL' for token in words.rest)
    )
    change = (
        Change(kind=Kind.COMMENT, table=table[0], name=parts[-1] if said == 'COLUMN' else '')
        if known
        else unknown(before)
    )
    return Statement(form=Form.COMMENT, changes=(change,))


def _session(words: Words) -> Statement:
    said = {token.text.upper() for token in words.rest}
    change = Change(kind=Kind.SESSION)
    if said & {'GLOBAL', 'PERSIST'}:
        change = Change(kind=Kind.UNKNOWN, detail='SET of the whole server')
    elif said & _QUOTING:
        change = Change(kind=Kind.UNKNOWN, detail='SET of what is a quotation')
    return Statement(form=Form.SESSION, changes=(change,))


_STATEMENTS: dict[str, Callable[[Words], Statement]] = {
    'CREATE TABLE': tables.create,
    'CREATE': indexes.create,
    'ALTER TABLE': tables.alter,
    'ALTER INDEX': indexes.alter,
    'DROP TABLE': tables.drop,
    'DROP INDEX': indexes.drop,
    'DROP': _drop_other,
    'RENAME TABLE': tables.rename,
    'INSERT': rows.insert,
    'REPLACE': rows.replace,
    'UPDATE': rows.update,
    'DELETE': rows.delete,
    'TRUNCATE': rows.truncate,
    'COMMENT ON': _comment,
    'SET': _session,
}

# SPDX-License-Identifier: Apache-2.0
"""SQL as a row of words, as far as a reader of schema changes needs it: no grammar, no
expressions.
"""

import dataclasses
import re
from collections.abc import Sequence

_PLAIN = r"'(?:[^']|'')*'"
_ESCAPED = r"'(?:[^'\\]|''|\\.)*'"
_BACKTICKS = r'`(?:[^`]|``)*`'
_DOUBLE = r'"(?:[^"]|"")*"'

#: No name of a table's in the statement.
_AFTER_TABLE = {'SET', 'WHERE', 'ORDER', 'LIMIT', 'USING', 'JOIN', 'PARTITION'}


def _grammar(*, comment: str, string: str, quoted: str, unclear: str = '') -> re.Pattern[str]:
    """Return what a quotation or a comment is, each server says for itself; what is not closed is
    unclear to any reader.
    """
    kinds = {
        'executable': r'/\*[mM]?!',
        'space': rf'[ \t\n\r\f\v]+|{comment}',
        'string': string,
        'quoted': quoted,
        'unclear': '|'.join(part for part in (unclear, r"/\*|['\"`]") if part),
        'word': r'[A-Za-z_][\w$]*',
        'other': r'\d[\w.]*|::|.',
    }
    return re.compile(
        '|'.join(f'(?P<{kind}>{pattern})' for kind, pattern in kinds.items()), re.DOTALL
    )


#: `--` begins a comment only before a blank, and " is a string's sign unless the server is told
#: otherwise.
_MYSQL = _grammar(
    comment=r'--(?=[\x00-\x20]|\Z)[^\n]*|#[^\n]*|/\*.*?\*/',
    string=_ESCAPED,
    quoted=rf'{_BACKTICKS}|"(?:[^"\\]|""|\\.)*"',
)
#: A comment may stand in a comment, which is not followed here; nor is a string between dollars,
#: which may be a program.
_POSTGRESQL = _grammar(
    comment=r'--[^\n\r]*|/\*(?:(?!/\*).)*?\*/',
    string=rf'[eE]{_ESCAPED}|{_PLAIN}',
    quoted=_DOUBLE,
    unclear=r'\$(?:[^\W\d]\w*)?\$',
)
_SQLITE = _grammar(
    comment=r'--[^\n]*|/\*.*?\*/', string=_PLAIN, quoted=rf'{_BACKTICKS}|{_DOUBLE}|\[[^\]]*\]'
)
_GRAMMARS = {'mysql': _MYSQL, 'mariadb': _MYSQL, 'postgresql': _POSTGRESQL, 'sqlite': _SQLITE}


@dataclasses.dataclass(frozen=True)
class Token:
    """A word, a quoted name, a string, or a sign."""

    text: str  #: without the quotes of a name
    #: word, quoted, string, other; executable for MySQL's comment that is run, unclear for what
    #: cannot be read
    kind: str

    @property
    def keyword(self) -> str:
        """Upper case; '' for what can be none."""
        return (
            self.text.upper()
            if self.kind == 'word'
            else (self.text if self.kind == 'other' else '')
        )

    @property
    def names(self) -> bool:
        """Return whether it can be a name."""
        return self.kind in {'word', 'quoted'}


def tokens_of(sql: str, dialect: str = 'mysql') -> list[Token]:
    """Without blanks and comments, as this kind of server reads it."""
    found: list[Token] = []
    for match in _GRAMMARS[dialect].finditer(sql):
        kind, text = str(match.lastgroup), match[0]
        if kind == 'quoted':
            text = text[1:-1].replace(text[0] * 2, text[0])
        elif (
            kind == 'string' and found and found[-1].kind == 'string' and found[-1].text[0] in 'eE'
        ):
            kind = 'unclear'  # PostgreSQL goes on with E'...' in the next line, where no E says so
        if kind != 'space':
            found.append(Token(text, kind))
    return found


def outside(tokens: Sequence[Token]) -> list[str]:
    """The keywords that stand in no parentheses."""
    found, depth = [], 0
    for token in tokens:
        depth += {'(': 1, ')': -1}.get(token.keyword, 0)
        if depth == 0 and token.keyword != ')':
            found.append(token.keyword)
    return found


def text_of(tokens: Sequence[Token]) -> str:
    """As one would write it: words apart, signs close."""
    text = ' '.join(token.text for token in tokens)
    return re.sub(r'\s*([(),])\s*', r'\1', text).replace(')', ') ').strip().replace(') ,', '),')


def split(tokens: Sequence[Token], sign: str = ',') -> list[list[Token]]:
    """At the signs that stand in no parentheses."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += {'(': 1, ')': -1}.get(token.keyword, 0)
        if token.keyword == sign and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return [part for part in parts if part]


class Words:
    """Tokens that are read from the front."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = list(tokens)
        self._place = 0

    @property
    def rest(self) -> list[Token]:
        """Return what has not been read."""
        return self._tokens[self._place :]

    def at(self, *keywords: str) -> bool:
        """Return whether these come next."""
        ahead = self._tokens[self._place : self._place + len(keywords)]
        return [token.keyword for token in ahead] == list(keywords)

    def take(self, *keywords: str) -> bool:
        """Read these if they come next."""
        if self.at(*keywords):
            self._place += len(keywords)
            return True
        return False

    def take_any(self, *phrases: str) -> str:
        """The first of these phrases that comes next, read; '' where none does."""
        return next((phrase for phrase in phrases if self.take(*phrase.split())), '')

    def path(self) -> list[str]:
        """A name with what it stands in, the outermost first; nothing where none comes next."""
        found = []
        while self.rest and self.rest[0].names:
            found.append(self.rest[0].text)
            self._place += 1
            if not self.take('.'):
                break
        return found

    def name(self) -> str:
        """A name, without its schema; '' where none comes next."""
        return next(reversed(self.path()), '')

    def alias(self) -> None:
        """Pass over another name for the table that has just been read, where one comes next."""
        self.take('*')
        if self.take('AS') or (
            self.rest and self.rest[0].names and self.rest[0].keyword not in _AFTER_TABLE
        ):
            self._place += 1

    def skip(self) -> None:
        """Pass over one token."""
        self._place += 1

    def parentheses(self) -> list[Token]:
        """Return what stands in the next pair, read; nothing where none comes next."""
        if not self.at('('):
            return []
        depth = 0
        start = self._place + 1
        while self._place < len(self._tokens):
            depth += {'(': 1, ')': -1}.get(self._tokens[self._place].keyword, 0)
            self._place += 1
            if depth == 0:
                break
        return self._tokens[start : self._place - 1]

# SPDX-License-Identifier: Apache-2.0
"""SQL as a row of tokens, as each kind of server parts them: no grammar, no expressions."""

import dataclasses
import enum
import re

_PLAIN = r"'(?:[^']|'')*'"
_ESCAPED = r"'(?:[^'\\]|''|\\.)*'"
_BACKTICKS = r'`(?:[^`]|``)*`'
_DOUBLE = r'"(?:[^"]|"")*"'


class TokenKind(enum.StrEnum):
    """Kind of a token; where two fit, the former one counts."""

    EXECUTABLE = enum.auto()  #: the beginning of a comment that MySQL or MariaDB runs
    SPACE = enum.auto()
    COMMENT = enum.auto()
    ESCAPED = enum.auto()  #: PostgreSQL's string with an E
    STRING = enum.auto()
    EITHER = enum.auto()  #: MySQL's "...": a string, or a name where the server is told so
    QUOTED = enum.auto()  #: a name
    UNCLEAR = enum.auto()  #: a quotation or a comment that cannot be read
    WORD = enum.auto()
    OTHER = enum.auto()  #: a number or a sign


#: That are the same to every server.
_EVERYWHERE = {
    TokenKind.EXECUTABLE: r'/\*[mM]?!',
    TokenKind.SPACE: r'[ \t\n\r\f\v]+',
    TokenKind.UNCLEAR: r"/\*|['\"`]",
    TokenKind.WORD: r'[A-Za-z_][\w$]*',
    TokenKind.OTHER: r'\d[\w.]*|::|.',
}


def _grammar(own: dict[TokenKind, str]) -> re.Pattern[str]:
    """Return what a quotation or a comment is, each server says for itself; what is not closed is
    unclear to any reader.
    """
    patterns = _EVERYWHERE | own
    return re.compile(
        '|'.join(f'(?P<{kind}>{patterns[kind]})' for kind in TokenKind if kind in patterns),
        re.DOTALL,
    )


#: `--` begins a comment only before a blank.
_MYSQL = _grammar(
    {
        TokenKind.COMMENT: r'--(?=[\x00-\x20]|\Z)[^\n]*|#[^\n]*|/\*.*?\*/',
        TokenKind.STRING: _ESCAPED,
        TokenKind.EITHER: r'"(?:[^"\\]|""|\\.)*"',
        TokenKind.QUOTED: _BACKTICKS,
    }
)
#: A comment may stand in a comment, which is not followed here; nor is a string between dollars,
#: which may be a program.
_POSTGRESQL = _grammar(
    {
        TokenKind.COMMENT: r'--[^\n\r]*|/\*(?:(?!/\*).)*?\*/',
        TokenKind.ESCAPED: rf'[eE]{_ESCAPED}',
        TokenKind.STRING: _PLAIN,
        TokenKind.QUOTED: _DOUBLE,
        TokenKind.UNCLEAR: rf'\$(?:[^\W\d]\w*)?\$|{_EVERYWHERE[TokenKind.UNCLEAR]}',
    }
)
_SQLITE = _grammar(
    {
        TokenKind.COMMENT: r'--[^\n]*|/\*.*?\*/',
        TokenKind.STRING: _PLAIN,
        TokenKind.QUOTED: rf'{_BACKTICKS}|{_DOUBLE}|\[[^\]]*\]',
    }
)
_GRAMMARS = {'mysql': _MYSQL, 'mariadb': _MYSQL, 'postgresql': _POSTGRESQL, 'sqlite': _SQLITE}

_NAMES = {TokenKind.WORD, TokenKind.QUOTED, TokenKind.EITHER}
_TEXTS = {TokenKind.STRING, TokenKind.ESCAPED, TokenKind.EITHER}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Token:
    """A word, a quoted name, a string, a sign, or a comment."""

    kind: TokenKind
    text: str  #: without the quotes of a name
    written: str  #: as it stands in the statement
    blanks: str  #: before it

    @property
    def keyword(self) -> str:
        """Upper case; '' for what can be none."""
        if self.kind is TokenKind.WORD:
            return self.text.upper()
        return self.text if self.kind is TokenKind.OTHER else ''

    @property
    def names(self) -> bool:
        """Return whether it can be a name."""
        return self.kind in _NAMES

    @property
    def is_text(self) -> bool:
        """Return whether it can be a string."""
        return self.kind in _TEXTS


def tokens_of(sql: str, dialect: str) -> list[Token]:
    """Part the text as this kind of server does, with its comments."""
    found: list[Token] = []
    blanks, before = '', TokenKind.SPACE
    for match in _GRAMMARS[dialect].finditer(sql):
        kind, text = TokenKind(str(match.lastgroup)), match[0]
        if kind is TokenKind.SPACE:
            blanks += text
            continue
        if kind in {TokenKind.QUOTED, TokenKind.EITHER}:
            text = text[1:-1].replace(text[0] * 2, text[0])
        elif kind in _TEXTS and before is TokenKind.ESCAPED:
            # PostgreSQL goes on with E'...' in the next line, where no E says so
            kind = TokenKind.UNCLEAR
        found.append(Token(kind=kind, text=text, written=match[0], blanks=blanks))
        blanks, before = '', before if kind is TokenKind.COMMENT else kind
    return found

# SPDX-License-Identifier: Apache-2.0
"""SQL as a row of words, as far as a reader of schema changes needs it: no grammar, no expressions."""
import dataclasses
import re
from collections.abc import Sequence

_TOKEN = re.compile(r"""
    (?P<space>\s+|--[^\n]*|/\*.*?\*/)
  | (?P<string>'(?:[^'\\]|''|\\.)*')
  | (?P<quoted>`[^`]*`|"[^"]*")
  | (?P<word>[A-Za-z_][\w$]*)
  | (?P<other>\d[\w.]*|::|.)
""", re.VERBOSE | re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Token:
    """A word, a quoted name, a string, or a sign."""

    text: str            #: without the quotes of a name
    kind: str            #: word, quoted, string, other

    @property
    def keyword(self) -> str:
        """Upper case; '' for what can be none."""
        return self.text.upper() if self.kind == 'word' else (self.text if self.kind == 'other' else '')

    @property
    def names(self) -> bool:
        """Whether it can be a name."""
        return self.kind in {'word', 'quoted'}


def tokens_of(sql: str) -> list[Token]:
    """Without blanks and comments."""
    found = []
    for match in _TOKEN.finditer(sql):
        kind = str(match.lastgroup)
        if kind != 'space':
            found.append(Token(match[0][1:-1] if kind == 'quoted' else match[0], kind))
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
        """What has not been read."""
        return self._tokens[self._place:]

    def at(self, *keywords: str) -> bool:
        """Whether these come next."""
        ahead = self._tokens[self._place:self._place + len(keywords)]
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

    def name(self) -> str:
        """A name, without its schema; '' where none comes next."""
        found = ''
        while self.rest and self.rest[0].names:
            found = self.rest[0].text
            self._place += 1
            if not self.take('.'):
                break
        return found

    def skip(self) -> None:
        """Pass over one token."""
        self._place += 1

    def parentheses(self) -> list[Token]:
        """What stands in the next pair, read; nothing where none comes next."""
        if not self.at('('):
            return []
        depth = 0
        start = self._place + 1
        while self._place < len(self._tokens):
            depth += {'(': 1, ')': -1}.get(self._tokens[self._place].keyword, 0)
            self._place += 1
            if depth == 0:
                break
        return self._tokens[start:self._place - 1]

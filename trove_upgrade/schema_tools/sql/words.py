# SPDX-License-Identifier: Apache-2.0
"""Tokens read from the front, parted at their signs, and written again."""

import dataclasses
import re
from collections.abc import Sequence

from trove_upgrade.schema_tools.sql.tokens import Token

#: No name of a table's in the statement.
_AFTER_TABLE = {'SET', 'WHERE', 'ORDER', 'LIMIT', 'USING', 'JOIN', 'PARTITION'}


@dataclasses.dataclass(frozen=True)
class Name:
    """A name with what it stands in."""

    parts: tuple[str, ...]  #: the outermost first

    @property
    def last(self) -> str:
        """Without its schema; '' where there is no name."""
        return self.parts[-1] if self.parts else ''

    @property
    def alone(self) -> str:
        """Return the name that has no schema, '' for any other."""
        return self.parts[0] if len(self.parts) == 1 else ''


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


def written(tokens: Sequence[Token]) -> str:
    """As it stands in the statement."""
    return ''.join(token.blanks + token.written for token in tokens).strip()


def masked(tokens: Sequence[Token]) -> str:
    """As it stands there, in upper case, with single blanks, and with underscores for strings."""
    shown = (
        token.blanks + ('_' * len(token.written) if token.is_text else token.written)
        for token in tokens
    )
    return ' '.join(''.join(shown).upper().split())


def parts_of(tokens: Sequence[Token]) -> list[list[Token]]:
    """Part them at the commas that stand in no parentheses; a part may be empty."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += {'(': 1, ')': -1}.get(token.keyword, 0)
        if token.keyword == ',' and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def split(tokens: Sequence[Token]) -> list[list[Token]]:
    """Part them likewise, without what is empty."""
    return [part for part in parts_of(tokens) if part]


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

    def full_name(self) -> Name:
        """A name with what it stands in; one without parts where none comes next."""
        found = []
        while self.rest and self.rest[0].names:
            found.append(self.rest[0].text)
            self._place += 1
            if not self.take('.'):
                break
        return Name(tuple(found))

    def name(self) -> str:
        """A name, without its schema; '' where none comes next."""
        return self.full_name().last

    def alias(self) -> None:
        """Pass over another name for the table that has just been read, where one comes next."""
        self.take('*')
        if self.take('AS') or (
            self.rest and self.rest[0].names and self.rest[0].keyword not in _AFTER_TABLE
        ):
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

# SPDX-License-Identifier: Apache-2.0
"""A rule, and its findings."""

import dataclasses
from collections.abc import Callable, Iterator

from trove_upgrade.schema_tools.lint.subject import Seen, Subject


@dataclasses.dataclass(frozen=True)
class Hit:
    """One place where a revision breaks a rule."""

    about: str  #: the table, column or index: several hits about one are one finding
    found: str  #: a sentence without its full stop
    seen: Seen | None = None  #: None where no statement is to blame


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """One thing that a revision must not do."""

    code: str  #: stable; waivers name it
    why: str  #: what would happen
    instead: str  #: what to write instead
    check: Callable[[Subject], Iterator[Hit]]
    can_be_waived: bool = True

    @property
    def page(self) -> str:
        """Address of the page's section that explains the rule."""
        return f'reference/lint.html#lint-{self.code.lower().replace("_", "-")}'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """A broken rule, as it is printed."""

    code: str
    revision: str
    about: str
    found: str
    statement: str  #: '' where no statement is to blame
    dialects: tuple[str, ...]  #: the servers on which it was seen
    why: str
    instead: str
    page: str


def place(seen: Seen) -> str:
    """table.column, or what of it is known."""
    return '.'.join(part for part in (seen.change.table, seen.change.name) if part)

# SPDX-License-Identifier: Apache-2.0
"""Rules of the versions of a datastore that may follow another.

The rules are data: a table shipped beside this module, which an operator's file extends. The code
knows three things only: a version may follow itself, within a series the patch level never falls,
and no rule leads downwards.
"""

import dataclasses
import enum
import functools
import importlib.resources
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Self

import yaml

from trove_upgrade.domain import instances
from trove_upgrade.domain.codes import Code

#: Parts are bounded: a name with a number of thousands of digits is junk, not a version.
_NUMBER = r'(?<![0-9.])(?P<number>[0-9]{1,6}(?:\.[0-9]{1,6}){0,7})(?![0-9])'
_AFTER_PRODUCT = re.compile(
    r'(?:mysql|mariadb|percona|postgresql|postgres|pg|pxc)[-_ :]?v?' + _NUMBER, re.IGNORECASE
)
_AT_START = re.compile(r'\s*v?' + _NUMBER, re.IGNORECASE)
_DOTTED = re.compile(_NUMBER.replace('{0,7}', '{1,7}'))
_ANY = re.compile(_NUMBER)

#: What a version reads as: (10, 11, 14).
Number = tuple[int, ...]


class Reason(enum.StrEnum):
    """Reasons for which a version may follow, or may not; stable codes that users see."""

    SAME_VERSION = 'SAME_VERSION'
    PATCH_LEVEL = 'PATCH_LEVEL'
    NEXT_SERIES = 'NEXT_SERIES'
    DOWNGRADE = 'DOWNGRADE'
    NO_RULE = 'NO_RULE'
    UNREADABLE = 'UNREADABLE'
    OTHER_MANAGER = 'OTHER_MANAGER'
    OTHER_DATASTORE = 'OTHER_DATASTORE'
    INACTIVE = Code.DATASTORE_VERSION_INACTIVE
    NO_IMAGE = Code.DATASTORE_VERSION_HAS_NO_IMAGE


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Verdict on one version after another; `reason` is a sentence's
    part without its full stop.
    """

    allowed: bool
    reason: str
    code: Reason


class RulesError(ValueError):
    """A file of rules is not of the form that the shipped one explains."""


def read_number(text: str | None) -> Number | None:
    """Return what a version's name or number says, as numbers;
    None where nothing in it reads as a version.

    Names are the operators' own: 5.7.29, 8.0-ga, mariadb-10.11, debian12-mariadb-10.11.14. A number
    at the start counts first, then one behind a product's name, then one with a dot, then any.
    """
    if not text:
        return None
    for found in (
        _AT_START.match(text),
        _AFTER_PRODUCT.search(text),
        _DOTTED.search(text),
        _ANY.search(text),
    ):
        if found:
            return tuple(int(part) for part in found['number'].split('.'))
    return None


def is_same(target: str | None, running: str | None) -> bool:
    """Return whether a server that says `running` is the target: every part that the target's
    number has must be the same.

    '11.8.6' is 11.8.6-MariaDB-0+deb13u1; '11.8' is any 11.8; a target that reads as no version is
    any server that answers.
    """
    if running is None:
        return False
    asked, said = read_number(target), read_number(running)
    return asked is None or (said is not None and said[: len(asked)] == asked)


def _dotted(number: Number) -> str:
    return '.'.join(str(part) for part in number)


@dataclasses.dataclass(frozen=True)
class _Series:
    """A declared series: number parts, None where any will do."""

    parts: tuple[int | None, ...]

    @classmethod
    def parse(cls, text: object) -> Self:
        if not isinstance(text, str) or not re.fullmatch(
            r'(?:[0-9]{1,6}|\*)(?:\.(?:[0-9]{1,6}|\*)){0,7}', text
        ):
            raise RulesError(f"{text!r} is not a series: write it in quotes, as '10.11' or '9.*'")
        return cls(tuple(None if part == '*' else int(part) for part in text.split('.')))

    def fits(self, number: Number) -> bool:
        """Return whether `number` begins as this series says."""
        return len(number) >= len(self.parts) and all(
            mine is None or mine == its for mine, its in zip(self.parts, number, strict=False)
        )

    def names(self, number: Number) -> bool:
        """Return whether `number` is a series that this entry means: of its length, too."""
        return len(number) == len(self.parts) and self.fits(number)


@dataclasses.dataclass(frozen=True)
class Rules:
    """Series that may follow another, per datastore manager."""

    follows: Mapping[str, Mapping[_Series, Sequence[_Series]]]

    @classmethod
    def parse(cls, *texts: str) -> Self:
        """Rules from YAML texts, later ones laid over earlier ones series by series.

        :raises RulesError: a text is not of the form that the shipped table explains.
        """
        follows: dict[str, dict[_Series, Sequence[_Series]]] = {}
        for text in texts:
            for manager, table in _tables(text).items():
                follows.setdefault(manager, {}).update(table)
        return cls(follows)

    @classmethod
    def load(cls, operators_file: str | None = None) -> Self:
        """The shipped rules, and over them the operator's.

        :raises RulesError: the file cannot be read or has another form.
        """
        texts = [
            importlib.resources.files(__package__)
            .joinpath('data', 'version_rules.yaml')
            .read_text('utf-8')
        ]
        if operators_file:
            try:
                texts.append(pathlib.Path(operators_file).read_text('utf-8'))
            except (OSError, UnicodeDecodeError) as error:
                raise RulesError(
                    f'The version rules cannot be read from {operators_file}: {error}. Mend '
                    '[trove_upgrade] version_rules_file or the file.'
                ) from error
        try:
            return cls.parse(*texts)
        except RulesError as error:
            raise RulesError(
                f'The version rules of {operators_file or "this package"} cannot be used: {error}. '
                'Mend [trove_upgrade] version_rules_file or the file.'
            ) from error

    @functools.cached_property
    def _declared(self) -> Mapping[str, frozenset[_Series]]:
        """Every series that a manager's table names, on either side."""
        return {
            manager: frozenset(table).union(*table.values())
            for manager, table in self.follows.items()
        }

    def between(
        self, former: instances.DatastoreVersion, target: instances.DatastoreVersion
    ) -> Verdict:
        """Return whether an instance of version `former` may be upgraded to `target`,
        as far as the two rows tell.
        """
        if former.datastore_id != target.datastore_id:
            return Verdict(
                False,
                f'it belongs to datastore {target.datastore_name}, not to {former.datastore_name}',
                Reason.OTHER_DATASTORE,
            )
        if former.manager != target.manager:
            return Verdict(
                False,
                f'it is served by manager {target.manager}, and the instance by {former.manager}',
                Reason.OTHER_MANAGER,
            )
        if not target.active:
            return Verdict(False, 'it is not active', Reason.INACTIVE)
        if not target.image_id and not target.image_tags:
            return Verdict(False, 'it names neither an image nor image tags', Reason.NO_IMAGE)
        if former.id == target.id:
            return Verdict(True, 'it is the version that the instance has', Reason.SAME_VERSION)
        return self.judge(former.manager, former.number, target.number)

    def judge(self, manager: str, former: str, target: str) -> Verdict:
        """Return whether version `target` of `manager` may follow `former`; both as names or
        numbers.
        """
        if former == target:
            return Verdict(True, 'it is the version that the instance has', Reason.SAME_VERSION)
        old, new = read_number(former), read_number(target)
        if old is None or new is None:
            unread = former if old is None else target
            return Verdict(
                False, f'the name {unread} does not read as a version number', Reason.UNREADABLE
            )
        if old == new:
            return Verdict(True, 'it is the version that the instance has', Reason.SAME_VERSION)
        if _is_lower(new, old):
            return Verdict(False, f'{_dotted(new)} is older than {_dotted(old)}', Reason.DOWNGRADE)
        return self._judge_series(manager, old, new)

    def _judge_series(self, manager: str, old: Number, new: Number) -> Verdict:
        table, declared = self.follows.get(manager, {}), self._declared.get(manager, frozenset())
        old_series, new_series = _series_of(declared, old), _series_of(declared, new)
        if old_series == new_series:
            return Verdict(True, f'both are of series {_dotted(old_series)}', Reason.PATCH_LEVEL)
        allowed = _followers(table, old_series)
        if any(series.names(new_series) for series in allowed):
            return Verdict(
                True,
                f'series {_dotted(new_series)} may follow {_dotted(old_series)}',
                Reason.NEXT_SERIES,
            )
        after = ', '.join(
            '.'.join('*' if part is None else str(part) for part in series.parts)
            for series in allowed
        )
        return Verdict(
            False,
            f'no rule lets series {_dotted(new_series)} follow {_dotted(old_series)}, '
            f'only {after or "itself"}',
            Reason.NO_RULE,
        )


def _tables(text: str) -> dict[str, dict[_Series, Sequence[_Series]]]:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RulesError(f'The version rules are not YAML: {error}') from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise RulesError('The version rules must be a mapping of datastore managers')
    return {str(manager): _table(str(manager), entry) for manager, entry in document.items()}


def _table(manager: str, entry: Any) -> dict[_Series, Sequence[_Series]]:
    if (
        not isinstance(entry, dict)
        or set(entry) != {'follows'}
        or not isinstance(entry['follows'], dict)
    ):
        raise RulesError(
            f'The version rules of {manager} must be a mapping with the one key "follows"'
        )
    table: dict[_Series, Sequence[_Series]] = {}
    for series, targets in entry['follows'].items():
        if not isinstance(targets, list):
            raise RulesError(f'What follows {series} of {manager} must be a list of series')
        table[_Series.parse(series)] = [_Series.parse(target) for target in targets]
    return table


@functools.lru_cache(maxsize=1024)
def _series_length(declared: frozenset[_Series], number: Number) -> int:
    """Return the parts of the longest declared series that fits, else two."""
    return max((len(series.parts) for series in declared if series.fits(number)), default=2)


def _series_of(declared: frozenset[_Series], number: Number) -> Number:
    """The part of `number` that names its series."""
    return number[: _series_length(declared, number)]


def _followers(table: Mapping[_Series, Sequence[_Series]], series: Number) -> Sequence[_Series]:
    """Return what may follow `series`: of several entries that mean it,
    the one with the fewest asterisks speaks.
    """
    entries = [declared for declared in table if declared.names(series)]
    return table[min(entries, key=lambda entry: entry.parts.count(None))] if entries else ()


def _is_lower(new: Number, old: Number) -> bool:
    """Return whether `new` is older, as far as both names tell: 8.0 is not older than 8.0.36, it
    leaves the patch level open.
    """
    shared = min(len(new), len(old))
    return new[:shared] < old[:shared]

# SPDX-License-Identifier: Apache-2.0
"""Options that the server of the target knows: from the facts that its image build recorded, else
from the table shipped with us.
"""

import enum
import importlib.resources
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent.datastores.mysql_family import option_files, versions


class Verdict(enum.Enum):
    """Fate of an option at the target."""

    KNOWN = enum.auto()
    IGNORED = enum.auto()  #: the server warns, and starts
    REFUSED = enum.auto()  #: the server does not start
    #: it may be one of a library that is loaded, and whose options the image build has not recorded
    OF_A_PLUGIN = enum.auto()


class TargetOptions:
    """Option names of one target.  `modules` are names of libraries that the server loads: their
    options are theirs to judge.
    """

    def __init__(self, datastore: str, target: TargetFacts, modules: Iterable[str] = ()) -> None:
        self._known = frozenset(option_files.canonical(str(name)) for name in target.options or ())
        series = versions.series(target.server_version)
        table = yaml.safe_load(
            importlib.resources.files(__package__).joinpath('removed_options.yaml').read_text()
        )
        self._refused = _since(table[datastore]['refused'], series)
        self._ignored = _since(table[datastore]['ignored'], series)
        self._modules = tuple(sorted(option_files.canonical(name) for name in modules))
        recorded: Mapping[str, Any] = {
            option_files.canonical(name): names
            for name, names in (target.plugin_options or {}).items()
        }
        self._of_plugins = frozenset(
            option_files.canonical(str(name))
            for module in self._modules
            for name in recorded.get(module) or ()
        )
        self._has_unrecorded = any(module not in recorded for module in self._modules)

    @property
    def has_facts(self) -> bool:
        """Return whether the target's own list is there; if not, only what the table names is
        refused.
        """
        return bool(self._known)

    def judge(self, option: option_files.Option) -> Verdict:
        """Return what the target does with `option`."""
        names = (option.name.removeprefix('loose-'), option.bare_name)
        if any(name in self._known | self._of_plugins for name in names):
            return Verdict.KNOWN
        if any(name in self._ignored for name in names):
            return Verdict.IGNORED
        if option.is_loose:
            return Verdict.KNOWN if not self._known else Verdict.IGNORED
        if any(name in self._refused for name in names):
            return Verdict.REFUSED
        if not self._known or any(self._is_taken_for_known(name) for name in names):
            return Verdict.KNOWN
        return Verdict.OF_A_PLUGIN if self._has_unrecorded else Verdict.REFUSED

    def _is_taken_for_known(self, name: str) -> bool:
        """Tell whether a server takes it for known: by its prefix, or as the beginning of one
        name.
        """
        return (bool(self._modules) and name.startswith(self._modules)) or self._is_abbreviation(
            name
        )

    def _is_abbreviation(self, name: str) -> bool:
        """Servers take the beginning of a name where only one name begins so."""
        return sum(known.startswith(name) for known in self._known) == 1


def _since(entries: Iterable[Mapping[str, Any]], series: tuple[int, ...]) -> frozenset[str]:
    """Names of all entries that hold for `series`; an unknown series counts as the newest."""
    return frozenset(
        name
        for entry in entries
        if not series or versions.series(entry['since']) <= series
        for name in entry['options']
    )

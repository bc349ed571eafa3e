# SPDX-License-Identifier: Apache-2.0
"""Check of the filter's place: in the pipeline that ends in Trove's application, once, directly
before its extensions, and nowhere else.

Further in front it would see requests before they are authenticated, twice it would read an upgrade
as its own, and where Trove's application can be reached beside it, Trove's own upgrade runs
unchecked.
"""

import configparser
import dataclasses
import importlib.metadata
import pathlib
import re
from collections.abc import Container, Iterator, Sequence

from oslo_upgradecheck import upgradecheck

from trove_upgrade.cmd.status.results import failure, success

#: As it is in the operator's page.
_SECTION = '[filter:trove_upgrade] with "use = egg:trove-upgrade#upgrade"'
_EGG = re.compile(r'egg:trove[-_]upgrade#upgrade', re.IGNORECASE)
#: Leads requests to handlers of its own before the application is asked.
_EXTENSIONS = 'trove.common.extensions:factory'
_FACTORY = 'trove_upgrade.api.app:filter_factory'
_FACTORIES = ('paste.filter_factory', 'paste.app_factory')
#: Source: etc/trove/api-paste.ini of Trove 26.
_TROVES_APPLICATION = 'trove.common.api:app_factory'
_AUTHTOKEN = re.compile(r'keystonemiddleware[.#]auth_?token')
_DEEPEST = 8  #: sections that "use" one another


class Unreadable(Exception):
    """The file is not there, or no paste file."""


@dataclasses.dataclass(frozen=True)
class Paste:
    """A paste file, as far as pipelines go."""

    sections: dict[str, dict[str, str]]  #: by full name, as 'filter:authtoken'

    @classmethod
    def read(cls, path: pathlib.Path) -> 'Paste':
        """Read a paste file without interpreting its variables.

        :raises Unreadable: it cannot be read.
        """
        parser = configparser.RawConfigParser(strict=False, default_section='DEFAULT')
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        try:
            parser.read_string(path.read_text(encoding='utf-8'))
        except (OSError, UnicodeDecodeError, configparser.Error) as error:
            raise Unreadable(' '.join(str(error).split())) from error
        return cls({' '.join(name.split()): dict(parser.items(name)) for name in parser.sections()})

    def of_kind(self, *kinds: str) -> Iterator[tuple[str, dict[str, str]]]:
        """Names without their kind, and what is in them."""
        for name, options in self.sections.items():
            kind, colon, rest = name.partition(':')
            if colon and kind in kinds:
                yield rest.strip(), options

    def factory(self, kind: str, name: str) -> str:
        """Return what makes it: the entry point or the factory, through sections that only use
        another; '' where nothing says it.
        """
        for _ in range(_DEEPEST):
            options = self.sections.get(f'{kind}:{name}', {})
            for key in _FACTORIES:
                if key in options:
                    return options[key].strip()
            used = options.get('use', '').strip()
            if ':' in used:
                return used.removeprefix('call:')
            if not used:
                return ''
            name = used
        return ''

    def pipelines(self) -> dict[str, list[str]]:
        """Filters and, last, the application of each."""
        return {
            name: options.get('pipeline', '').split() for name, options in self.of_kind('pipeline')
        }


def check(path: pathlib.Path) -> upgradecheck.Result:
    """Check every pipeline of a paste file that ends in Trove's application."""
    try:
        paste = Paste.read(path)
    except Unreadable as error:
        return failure(
            f"Trove's paste file {path} cannot be read: {error}. Look at [DEFAULT] "
            'api_paste_config.'
        )
    filters = _ours(paste)
    if not filters:
        return failure(
            f'{path} has no filter of ours. Add {_SECTION}, and "trove_upgrade" to the pipeline '
            "directly before Trove's extensions and application, then restart Trove's API."
        )
    troves = _of_trove(paste)
    if not troves:
        return failure(
            f'{path} has no pipeline that ends in an application of Trove ({_TROVES_APPLICATION}): '
            "look whether it is Trove's file."
        )
    faults = [
        fault for name, words in troves.items() for fault in _faults(paste, name, words, filters)
    ]
    faults += _elsewhere(paste, troves, filters)
    faults += _past_pipelines(paste)
    faults += _not_installed(paste, filters)
    if faults:
        return failure(
            f'The filter is not where it belongs in {path}: {"; ".join(faults)}. It stands once, '
            "directly before Trove's extensions and application at the end of its pipeline, and "
            "nowhere else. Restart Trove's API after the change."
        )
    return success(
        f"{path} has the filter once, directly before Trove's extensions and application, in "
        f'pipeline {", ".join(troves)}.'
    )


def _applications(paste: Paste) -> list[str]:
    """Return the names of the sections that are an application of Trove."""
    return [
        name
        for name, _ in paste.of_kind('app')
        if paste.factory('app', name) == _TROVES_APPLICATION
    ]


def _of_trove(paste: Paste) -> dict[str, list[str]]:
    """Pipelines that end in an application of Trove."""
    applications = _applications(paste)
    return {
        name: words
        for name, words in paste.pipelines().items()
        if words and words[-1] in applications
    }


def _ours(paste: Paste) -> set[str]:
    return {name for name, _ in paste.of_kind('filter') if _is_ours(paste.factory('filter', name))}


def _is_ours(factory: str) -> bool:
    return factory == _FACTORY or bool(_EGG.fullmatch(factory))


def _faults(paste: Paste, name: str, words: Sequence[str], filters: set[str]) -> list[str]:
    """Return what is wrong with the filter's place in one pipeline of Trove's."""
    places = [place for place, word in enumerate(words) if word in filters]
    if not places:
        return [f'pipeline:{name} is without it']
    found = []
    if len(places) > 1:
        found.append(f'pipeline:{name} has it {len(places)} times')
    strangers = [
        word
        for word in words[places[-1] + 1 : -1]
        if paste.factory('filter', word) != _EXTENSIONS and word not in filters
    ]
    if strangers:
        found.append(f'in pipeline:{name} {", ".join(strangers)} stands between it and {words[-1]}')
    before = [paste.factory('filter', word) for word in words[: places[0]]]
    if _EXTENSIONS in before:
        found.append(
            f"in pipeline:{name} Trove's extensions come before it, which lead to an upgrade of "
            "Trove's past it (PUT on /mgmt/instances)"
        )
    if not any(_AUTHTOKEN.search(factory) for factory in before):
        found.append(
            f'in pipeline:{name} no authtoken comes before it, so that a caller could claim to be '
            'any user'
        )
    return found


def _elsewhere(paste: Paste, troves: Container[str], filters: set[str]) -> list[str]:
    """Return where the filter stands outside of Trove's own pipelines."""
    found = [
        f"pipeline:{name} has it, which does not end in Trove's application"
        for name, words in paste.pipelines().items()
        if name not in troves and filters & set(words)
    ]
    found += [
        f'[{name}] has it as filter-with'
        for name, options in paste.sections.items()
        if options.get('filter-with', '').strip() in filters
    ]
    return found


def _past_pipelines(paste: Paste) -> list[str]:
    """Ways to an application of Trove that no pipeline leads."""
    applications = _applications(paste)
    return [
        f'composite:{name} leads to {app} past every pipeline'
        for name, options in paste.of_kind('composite')
        for key, app in options.items()
        if key != 'use' and app.strip() in applications
    ]


def _not_installed(paste: Paste, filters: set[str]) -> list[str]:
    eggs = any(_EGG.fullmatch(paste.factory('filter', name)) for name in filters)
    if eggs and not importlib.metadata.entry_points(group='paste.filter_factory', name='upgrade'):
        return [
            (
                'the package trove-upgrade is not installed in this environment, so paste cannot '
                'load it'
            )
        ]
    return []

# SPDX-License-Identifier: Apache-2.0
"""Target facts: the version that an upgrade leads to, as its image build recorded it and as Trove's
tables name it.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Self

from trove_upgrade.domain.printable import is_plain

#: Characters of one text.
LONGEST = 4096


def _is_text(value: Any) -> bool:
    return is_plain(value, LONGEST)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(_is_text(one) for one in value)


def _is_texts_by_name(value: Any) -> bool:
    return isinstance(value, Mapping) and all(_is_texts(one) for one in value.values())


#: Form of each fact that an agent reads.
_FORMS: Mapping[str, Callable[[Any], bool]] = {
    'server_version': _is_text,
    'datastore_manager': _is_text,
    'container_image': _is_text,
    'container_image_id': _is_text,
    'version_number': _is_text,
    'version_name': _is_text,
    'image_id': _is_text,
    'options': _is_texts,
    'option_groups': _is_texts,
    'plugins': _is_texts,
    'plugin_options': _is_texts_by_name,
    'configuration_parameters': _is_texts,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetFacts:
    """The facts that an agent reads.  '' or None: it is not known."""

    server_version: str = ''  #: as the server reports it, e.g. 11.8.6
    datastore_manager: str = ''  #: e.g. mariadb
    #: the whole reference; '': it is made of the number; None: an earlier release does not tell
    container_image: str | None = None
    container_image_id: str = ''  #: by which engines know it, sha256:...; for what is carried
    version_number: str = ''  #: of Trove's datastore version
    version_name: str = ''
    image_id: str = ''  #: the Glance image that is booted
    options: tuple[str, ...] | None = None  #: names that the target's server takes
    option_groups: tuple[str, ...] | None = None  #: groups of option files that it reads
    plugins: tuple[str, ...] | None = None  #: files of its plugin directory
    plugin_options: Mapping[str, tuple[str, ...]] | None = None  #: options by plugin
    configuration_parameters: tuple[str, ...] | None = None  #: that Trove lets users set
    #: Facts for another release, and those that are not of their form: they travel as they came,
    #: and the guest refuses the latter.
    others: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        """JSON-ready, with what is known alone."""
        known = {name: getattr(self, name) for name in _FORMS}
        return {
            **self.others,
            **{name: value for name, value in known.items() if value is not None and value != ''},
            **({'container_image': None} if self.container_image == '' else {}),
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """The reverse of `to_wire`, also for what registering a version loaded."""
        found: dict[str, Any] = {}
        others: dict[str, Any] = {}
        for name, value in wire.items():
            if name not in _FORMS or (value is not None and not _FORMS[name](value)):
                others[name] = value
            elif value is not None:
                found[name] = _frozen(value)
            elif name == 'container_image':
                found[name] = ''
        return cls(**found, others=others)


def broken(wire: Mapping[str, Any]) -> list[str]:
    """Names of the facts in `wire` that are not of their form."""
    return [
        name
        for name, is_form in _FORMS.items()
        if wire.get(name) is not None and not is_form(wire[name])
    ]


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: tuple(one) for name, one in value.items()}
    return tuple(value) if isinstance(value, list) else value

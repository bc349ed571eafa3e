# SPDX-License-Identifier: Apache-2.0
"""Names and ids of things, as a person gives them."""

import re
import urllib.parse
import uuid
from collections.abc import Collection, Iterable
from typing import Protocol, TypeVar

from troveupgradeclient import exceptions

_PROJECTS = (
    'A project is given by its id alone, which an admin looks up with: openstack project list.'
)


class Named(Protocol):
    """A thing with an id and a name."""

    @property
    def id(self) -> str:
        """Return what no other thing has."""

    @property
    def name(self) -> str | None:
        """Return what others may have, too."""


Thing = TypeVar('Thing', bound=Named)


def is_id(text: str) -> bool:
    """Tell whether a text is written as the id of an instance, an upgrade or a version is."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def is_project_id(text: str) -> bool:
    """Tell whether a text is written as Keystone writes the ids of projects."""
    return re.fullmatch('[0-9a-f]{32}', text) is not None


def require_project(found: Collection[object], project: str | None) -> None:
    """Refuse a list of a project that is empty, where the project was given by its name.

    :raises NameNotFound: it was; names of projects are not looked up.
    """
    if project is not None and not found and not is_project_id(project):
        raise exceptions.NameNotFound(kind='project', name=project, advice=_PROJECTS)


def quoted(part: str) -> str:
    """Return a text as one segment of an address.

    :raises IdInvalid: it is none: libraries and servers take these for another place.
    """
    if part.strip() in {'', '.', '..'}:
        raise exceptions.IdInvalid(given=part)
    return urllib.parse.quote(part, safe='')


def only_one(things: Iterable[Thing], name: str, kind: str, advice: str) -> Thing:
    """Return the one thing of a name.

    :raises NameNotFound, NameAmbiguous: none, or more than one, has it.
    """
    found = [each for each in things if each.name == name]
    if not found:
        raise exceptions.NameNotFound(kind=kind, name=name, advice=advice)
    if len(found) > 1:
        ids = ', '.join(each.id for each in found)
        raise exceptions.NameAmbiguous(kind=kind, name=name, ids=ids)
    return found[0]

# SPDX-License-Identifier: Apache-2.0
"""Names and ids of things, as a person gives them."""

import urllib.parse
import uuid
from collections.abc import Iterable
from typing import Protocol, TypeVar

from troveupgradeclient import exceptions


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


def quoted(part: str) -> str:
    """Return a text as one segment of an address."""
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

# SPDX-License-Identifier: Apache-2.0
"""The one reader of paths for the filters in Trove's pipeline: which of Trove's handlers Routes
would lead a request to.

Routes compares a path with regular expressions that end in `$`, and `$` also matches before a line
feed at the end. So a path with a character that is not printed is refused before any part of it is
compared. A space is none of them: clients ask for an instance by its name, and look the name up
when the answer is 404.

Source: routes/route.py, routes/middleware.py and routes/mapper.py (Routes 2.5); trove/common/api.py
and trove/extensions/routes/mgmt.py (Trove 26).
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Self
from urllib import parse

import webob

from trove_upgrade.api import errors

#: C0, DEL, C1 and the two separators of Unicode: all that a reader of lines could end a line at,
#: and all that no name needs.
_UNPRINTED = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029]')

#: /{project}/<one of these>...
_OUR_COLLECTIONS = frozenset({'upgrades', 'upgrade-openapi'})
#: /{project}/instances/{id}/<one of these>...
_OUR_SUBRESOURCES = frozenset({'upgrades', 'upgrade-targets', 'upgrade-checks'})
#: /{project}/mgmt/<one of these>...
_OUR_MANAGEMENT = frozenset({'upgrade-drift'})
_FORM_FOR_EDITING = 'edit'

#: By which Routes' middleware lets a query, or a posted form, name another method than HTTP does.
OVERRIDE = '_method'
_FORMS = frozenset({'application/x-www-form-urlencoded', 'multipart/form-data'})


@dataclasses.dataclass(frozen=True)
class Path:
    """A path of /v1.0 in its parts, as WSGI has them: bytes as characters of Latin-1."""

    #: without the empty ones: `//` and a `/` at the end make no other resource
    segments: tuple[str, ...]

    @classmethod
    def read(cls, environ: Mapping[str, Any]) -> Self:
        """Return the path of a request.

        :raises PathInvalid: it has a character that is not printed.
        """
        path = str(environ.get('PATH_INFO', ''))
        if not (path.isascii() and path.isprintable()):  # else there is nothing to find: mostly
            found = _UNPRINTED.search(_as_text(path))
            if found is not None:
                raise errors.PathInvalid(found=f'U+{ord(found[0]):04X}')
        return cls(tuple(segment for segment in path.split('/') if segment))

    @property
    def is_ours(self) -> bool:
        """Return True for a resource that Trove does not have."""
        if len(self.segments) < 2:
            return False
        if self.segments[1] == 'instances':
            return len(self.segments) > 3 and self.segments[3] in _OUR_SUBRESOURCES
        if self.segments[1] == 'mgmt':
            return len(self.segments) > 2 and self.segments[2] in _OUR_MANAGEMENT
        return self.segments[1] in _OUR_COLLECTIONS

    @property
    def instance(self) -> tuple[str, ...]:
        """Return the segments of one instance, by whichever of its two ways;
        none of anything else.
        """
        match self.segments:
            case (project_id, 'instances', instance_id) | (
                project_id,
                'mgmt',
                'instances',
                instance_id,
            ):
                return project_id, 'instances', instance_id
        return ()

    @property
    def is_form_for_editing(self) -> bool:
        """Return True for the form that Routes makes for every resource: a GET of it reaches the
        handler of upgrades.
        """
        match self.segments:
            case (_, 'mgmt', 'instances', _, last):
                return last.partition('.')[0] == _FORM_FOR_EDITING
        return False

    @property
    def is_of_backups(self) -> bool:
        """Return True for Trove's collection of backups."""
        return self.segments[1:] == ('backups',)


def names_method(environ: Mapping[str, Any]) -> bool:
    """Tell whether the query may name another method, however it is written."""
    return OVERRIDE in parse.unquote_plus(environ.get('QUERY_STRING') or '')


def method_of(environ: Mapping[str, Any]) -> str:
    """Return the method that Trove's router takes, as Routes reads it: a query that is empty or no
    UTF-8 names none.

    A posted form could make another method of POST alone.
    """
    named = None
    if OVERRIDE in (environ.get('QUERY_STRING') or ''):
        try:
            named = webob.Request(dict(environ)).GET.get(OVERRIDE)
        except UnicodeDecodeError:
            named = None
    return str(named or environ['REQUEST_METHOD']).upper()


def is_posted_form(environ: Mapping[str, Any]) -> bool:
    """Tell whether the body may name another method."""
    kind = str(environ.get('CONTENT_TYPE') or '').split(';', 1)[0].strip().lower()
    return environ['REQUEST_METHOD'].upper() == 'POST' and kind in _FORMS


def _as_text(path: str) -> str:
    """Return the path in the characters that its bytes are in UTF-8;
    what is no UTF-8 stays as WSGI has it.
    """
    try:
        return path.encode('latin-1').decode()
    except UnicodeError:
        return path

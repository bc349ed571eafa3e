# SPDX-License-Identifier: Apache-2.0
"""Filter between ours and Trove's API: refuses an incremental backup on top of one that a former
version of the server has made.

Everything else goes on as it came, requests that Trove will refuse included: a body is judged only
where Trove would take it, and only for a project that may see the instance and the parent. What
cannot be told is Trove's to answer; no data is at stake here.
"""

import io
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

import jsonschema
import webob

from trove_upgrade.api import application, body, errors
from trove_upgrade.api.call import Call, HandedOn
from trove_upgrade.api.filter import Inner, refusal, with_request_id
from trove_upgrade.api.handlers import backups
from trove_upgrade.api.paths import Path, method_of
from trove_upgrade.api.services import Services
from trove_upgrade.domain.backups import SNAPSHOTS

_TEXT = {'type': 'string', 'minLength': 1, 'maxLength': 255, 'pattern': '^.*[0-9a-zA-Z]+.*$'}
_ID = {
    'type': 'string',
    'maxLength': 64,
    'pattern': (
        '^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$'
    ),
}
#: What Trove takes for an incremental backup. Source: trove/common/apischema.py, backup["create"]
#: (Trove 26), by the same draft.
_TAKEN = jsonschema.Draft4Validator(
    {
        'type': 'object',
        'required': ['backup'],
        'properties': {
            'backup': {
                'type': 'object',
                'required': ['name', 'instance'],
                'properties': {
                    'name': _TEXT,
                    'description': _TEXT,
                    'instance': _ID,
                    'parent_id': _ID,
                    'swift_container': _TEXT,
                    'incremental': {'type': 'integer', 'minimum': 0, 'maximum': 1},
                },
            }
        },
    }
)


class BackupFilter:
    """`inner` answers; `services` is called with the first incremental backup of a process."""

    def __init__(
        self, inner: Inner, services: Callable[[], Services], max_body_bytes: Callable[[], int]
    ) -> None:
        self._inner = inner
        self._services = services
        self._max_body_bytes = max_body_bytes

    def __call__(
        self, environ: application.Environ, start_response: application.StartResponse
    ) -> Iterable[bytes]:
        """One request, as WSGI has it."""
        try:
            path = Path.read(environ)
        except errors.PathInvalid as error:
            return refusal(error, environ, start_response)
        backup = self._incremental(environ) if _makes_backup(environ, path) else None
        if backup is None:
            return self._inner(environ, start_response)
        request_id = application.request_id_of(environ)
        try:
            answer = application.answer_errors(
                lambda: self._judge(environ, path.segments[0], backup), request_id
            )
        except HandedOn:
            return self._inner(environ, start_response)
        return answer(environ, with_request_id(start_response, request_id))

    def _incremental(self, environ: application.Environ) -> Mapping[str, Any] | None:
        """The incremental backup that the body asks for, which is read and put back; None: it is
        another, or cannot be read.
        """
        content = self._content(environ)
        try:  # as Trove parses it: of a key that occurs twice, the last one counts
            document = json.loads(content.decode('utf-8'))
            is_taken = _TAKEN.is_valid(document)  # it shows what it refuses, however deep that is
        except (ValueError, RecursionError):
            return None
        if not is_taken:
            return None
        backup: Mapping[str, Any] = document['backup']
        is_incremental = bool(backup.get('parent_id') or backup.get('incremental'))
        if (
            not is_incremental
            or 'restore_from' in backup
            or backup.get('storage_driver') == SNAPSHOTS
        ):
            return None
        return backup

    def _content(self, environ: application.Environ) -> bytes:
        """Return what comes of the body, put back; nothing where its length is not known or over
        the bound, and then nothing is read.
        """
        try:
            length = body.content_length(environ)
        except errors.BodyLengthUnknown:
            return b''
        if length > self._max_body_bytes():
            return b''
        content: bytes = environ['wsgi.input'].read(length) if length else b''
        environ['wsgi.input'] = io.BytesIO(content)
        return content

    def _judge(
        self, environ: application.Environ, project_id: str, backup: Mapping[str, Any]
    ) -> NoReturn:
        """Refuse a backup with a former parent, and hand every other request on to Trove.

        :raises HandedOn: Trove shall answer, as it does where the token
        is none of the project's.

        :raises BackupOfFormerVersion: the parent that Trove would take is no parent any more.
        """
        try:
            context = application.context_of(environ, overwrite=False)
        except errors.NotAuthenticated as error:
            raise HandedOn from error
        services = self._services()
        call = Call(
            http=webob.Request(environ), context=context, services=services, document=backup
        )
        if not context.project_id or not (project_id == context.project_id or call.is_admin):
            raise HandedOn
        with services.repos.database.one_connection():
            backups.refuse_former(call)
        raise HandedOn


def _makes_backup(environ: application.Environ, path: Path) -> bool:
    return path.is_of_backups and method_of(environ) == 'POST'

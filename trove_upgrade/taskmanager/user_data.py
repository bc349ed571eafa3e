# SPDX-License-Identifier: Apache-2.0
"""The user data that a rebuilt server gets: what it had, for the target version, with our marker.

The guest's own two files travel in user data as cloud-config `write_files`.  Nova keeps nothing else of the old root disk, and the
agent believes its configuration from here alone.  Pure: text in, text out.
"""
import base64
import binascii
import email
import email.message
import email.mime.multipart
import email.mime.text
import functools
import gzip
import re
from typing import Any

import yaml

from trove_upgrade.domain import exceptions

MARKER_PATH = '/etc/trove/conf.d/trove-upgrade-marker.conf'
#: Nova's own bound, of the base64 form.  Source: Nova api-ref, "user_data".
LIMIT_BYTES = 65535

_CLOUD_CONFIG = b'#cloud-config'
_GZIP = b'\x1f\x8b'
_GUEST_INFO = 'guest_info'
_MULTIPART = re.compile(rb'(content-type:\s*multipart/|mime-version:)', re.IGNORECASE)
_MARKER_PART = 'trove-upgrade-marker.txt'


def render(former: bytes | None, marker: str, *, datastore_version: str, datastore_manager: str) -> bytes:
    """User data for the rebuild that `marker` belongs to.

    :raises StepRefused: it cannot be read, cannot carry the marker, or would be longer than Nova takes.
    """
    if former is None or not former.strip():
        raise _refused('it has none that Nova shows to the service user', 'USER_DATA_MISSING')
    packed = former.startswith(_GZIP)
    try:
        text = gzip.decompress(former) if packed else former
    except (OSError, EOFError) as error:
        raise _refused(f'it looks compressed and cannot be unpacked: {error}', 'USER_DATA_UNREADABLE') from error
    if text.lstrip().startswith(_CLOUD_CONFIG):
        rendered = _cloud_config(text, marker, datastore_version, datastore_manager)
    elif _MULTIPART.match(text.lstrip()):
        rendered = _multipart(text, marker, datastore_version, datastore_manager)
    else:
        raise _refused('it is neither cloud-config nor a MIME multipart, so that the marker cannot be added', 'USER_DATA_NOT_CLOUD_CONFIG')
    # mtime 0: the same input gives the same bytes
    result = gzip.compress(rendered, mtime=0) if packed else rendered
    length = len(base64.b64encode(result))
    if length > LIMIT_BYTES:
        raise _refused(f'it would be {length} bytes long in base64, and Nova takes {LIMIT_BYTES}', 'USER_DATA_TOO_LONG')
    return result


def _refused(found: str, code: str) -> exceptions.StepRefused:
    return exceptions.StepRefused(f'The user data of the server cannot be sent again with a rebuild: {found}. Recreate the instance\'s user '
                                  f'data as cloud-config with write_files.', code)


def _cloud_config(text: bytes, marker: str, version: str, manager: str) -> bytes:
    document = _document(text)
    former = document.get('write_files') or []
    if not isinstance(former, list) or not all(isinstance(entry, dict) for entry in former):
        raise _refused('its write_files is not a list of mappings', 'USER_DATA_UNREADABLE')
    kept = [_for_target(entry, version, manager) for entry in former if entry.get('path') != MARKER_PATH]
    document['write_files'] = [*kept, _marker_entry(marker)]
    return _dump(document)


def _document(text: bytes) -> dict[Any, Any]:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _refused(f'its YAML cannot be read: {error}', 'USER_DATA_UNREADABLE') from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise _refused('its cloud-config is not a mapping', 'USER_DATA_UNREADABLE')
    return document


def _dump(document: dict[Any, Any]) -> bytes:
    return b'#cloud-config\n' + yaml.safe_dump(document, sort_keys=False, default_flow_style=False).encode()  # ASCII: U+0085 would come back as a space


def _marker_entry(marker: str) -> dict[str, Any]:
    content = f'[trove_upgrade]\nupgrade_marker = {marker}\n'
    return {'path': MARKER_PATH, 'owner': 'root:root', 'permissions': '0644', 'encoding': 'b64',
            'content': base64.b64encode(content.encode()).decode()}


def _for_target(entry: dict[str, Any], version: str, manager: str) -> dict[str, Any]:
    """guest_info.conf names the version that the guest runs; every other file stays as it is."""
    if _GUEST_INFO not in str(entry.get('path', '')):
        return entry
    encoding = str(entry.get('encoding', '')).lower()
    content = entry.get('content', '')
    try:
        if encoding in {'b64', 'base64'}:
            changed = _guest_info(base64.b64decode(str(content)).decode(), version, manager)
            return {**entry, 'content': base64.b64encode(changed.encode()).decode()}
        if not encoding and isinstance(content, str):
            return {**entry, 'content': _guest_info(content, version, manager)}
    except (binascii.Error, UnicodeDecodeError) as error:
        raise _refused(f'its {entry.get("path")} cannot be read: {error}', 'USER_DATA_UNREADABLE') from error
    return entry


def _guest_info(text: str, version: str, manager: str) -> str:
    """Only lines that are there are changed: names and order are Trove's."""
    for name, value in (('datastore_version', version), ('datastore_manager', manager)):
        text = re.sub(rf'(?m)^([ \t]*{name}[ \t]*[=:][ \t]*)[^\r\n]*', functools.partial(_with_value, value), text)
    return text


def _with_value(value: str, found: re.Match[str]) -> str:
    return found[1] + value


def _multipart(text: bytes, marker: str, version: str, manager: str) -> bytes:
    """Parts stay; cloud-config parts are re-rendered, and the marker comes as a part of its own that appends to write_files."""
    message = email.message_from_bytes(text)
    if not message.is_multipart():
        raise _refused('it says that it is a MIME multipart and has no parts', 'USER_DATA_UNREADABLE')
    parts: list[email.message.Message] = []
    for part in message.get_payload():
        if not isinstance(part, email.message.Message) or part.get_filename() == _MARKER_PART:
            continue
        parts.append(_part_for_target(part, version, manager))
    addition = _dump({'merge_how': 'list(append)+dict(no_replace,recurse_list)+str()', 'write_files': [_marker_entry(marker)]})
    extra = email.mime.text.MIMEText(addition.decode(), 'cloud-config', 'utf-8')
    extra.add_header('Content-Disposition', 'attachment', filename=_MARKER_PART)
    boundary = message.get_boundary()
    outer = email.mime.multipart.MIMEMultipart(boundary=boundary)
    for part in [*parts, extra]:
        outer.attach(part)
    return outer.as_bytes()


def _part_for_target(part: email.message.Message, version: str, manager: str) -> email.message.Message:
    payload = part.get_payload(decode=True)
    if part.get_content_type() != 'text/cloud-config' or not isinstance(payload, bytes) or _GUEST_INFO.encode() not in payload:
        return part
    document = _document(payload)
    document['write_files'] = [_for_target(entry, version, manager) for entry in document.get('write_files') or []]
    changed = email.mime.text.MIMEText(_dump(document).decode(), 'cloud-config', 'utf-8')
    disposition = part.get('Content-Disposition')
    if disposition:
        changed['Content-Disposition'] = disposition
    return changed

# SPDX-License-Identifier: Apache-2.0
"""The user data that a rebuilt server gets: what it had, for the target version, with our marker.

The guest's own files travel in user data as cloud-config `write_files`.  Nova keeps nothing else of the old root disk, and the
agent believes its configuration from here alone.  What belongs to the server (its id, its RPC key, its ports, how its engine is
set up) stays as it was when the server was made; what belongs to the version, and what Trove keeps in its rows, is taken anew; the
operator's own template of the agent's configuration is taken anew where he names it.  Pure: text in, text out.

Source: trove/instance/models.py, get_injected_files and prepare_cloud_config (Trove 26).
"""
import base64
import binascii
import dataclasses
import email
import email.message
import email.mime.multipart
import email.mime.text
import functools
import gzip
import json
import posixpath
import re
import zlib
from collections.abc import Callable
from typing import Any

import yaml

from trove_upgrade.domain import exceptions

MARKER_PATH = '/etc/trove/conf.d/trove-upgrade-marker.conf'
#: Nova's own bound, of the base64 form.  Source: Nova api-ref, "user_data".
LIMIT_BYTES = 65535

#: How Trove names the agent's configuration, beside guest_info.conf.
GUEST_CONFIG_NAME = 'trove-guestagent.conf'
#: What makes Trove's agent take a NIC for the user's alone, and Docker do without a bridge.  Source: trove/common/constants.py.
ETH1_PATH = '/etc/trove/eth1.json'
DOCKER_PATH = '/etc/docker/daemon.json'

_CLOUD_CONFIG = b'#cloud-config'
_GZIP = b'\x1f\x8b'
_GUEST_INFO = 'guest_info'
_MULTIPART = re.compile(rb'(content-type:\s*multipart/|mime-version:)', re.IGNORECASE)
_MARKER_PART = 'trove-upgrade-marker.txt'


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What the next root disk's files are to say.  None: as the former user data has it."""

    datastore_version: str                  #: the number: Trove's agent makes the tag of the container image of it
    datastore_manager: str
    registry_ext: str | None = None         #: with the manager in front, as Trove writes it
    repl_strategy: str | None = None
    ssl_mode: str | None = None
    guest_config: str | None = None         #: text of trove-guestagent.conf
    guest_topic_prefix: str | None = None   #: where our agent listens
    volume_uuid: str | None = None          #: the file system that the guest must find again
    lone_nic: bool = False                  #: the server has one NIC: nothing may take it for the user's alone

    def settings(self) -> dict[str, str]:
        """Of guest_info.conf, by Trove's names."""
        named = {'datastore_version': self.datastore_version, 'datastore_manager': self.datastore_manager,
                 'datastore_registry_ext': self.registry_ext, 'replication_strategy': self.repl_strategy, 'ssl_mode': self.ssl_mode}
        return {name: value for name, value in named.items() if value is not None}


#: Settings that an older Trove did not write yet: they are added.  The others are changed only where they are.
_ADDED = frozenset({'datastore_registry_ext', 'replication_strategy', 'ssl_mode'})


def render(former: bytes | None, marker: str, wanted: Wanted) -> bytes:
    """User data for the rebuild that `marker` belongs to.

    :raises StepRefused: it cannot be read, cannot carry the marker, or would be longer than Nova takes.
    """
    if former is None or not former.strip():
        raise _refused('it has none that Nova shows to the service user', 'USER_DATA_MISSING')
    packed = former.startswith(_GZIP)
    try:
        text = gzip.decompress(former) if packed else former
    except (OSError, EOFError, zlib.error) as error:
        raise _refused(f'it looks compressed and cannot be unpacked: {error}', 'USER_DATA_UNREADABLE') from error
    if text.lstrip().startswith(_CLOUD_CONFIG):
        rendered = _cloud_config(text, marker, wanted)
    elif _MULTIPART.match(text.lstrip()):
        rendered = _multipart(text, marker, wanted)
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


def _cloud_config(text: bytes, marker: str, wanted: Wanted) -> bytes:
    document = _document(text)
    kept = _kept(document, wanted)
    document['write_files'] = [*kept, *_new(kept, marker, wanted)]
    return _dump(document)


def _kept(document: dict[Any, Any], wanted: Wanted) -> list[dict[str, Any]]:
    """The former files, for the target; our marker and what would shut the only NIC are left out."""
    former = document.get('write_files') or []
    if not isinstance(former, list) or not all(isinstance(entry, dict) for entry in former):
        raise _refused('its write_files is not a list of mappings', 'USER_DATA_UNREADABLE')
    dropped = {MARKER_PATH, ETH1_PATH} if wanted.lone_nic else {MARKER_PATH}
    return [_for_target(entry, wanted) for entry in former if entry.get('path') not in dropped]


def _new(kept: list[dict[str, Any]], marker: str, wanted: Wanted) -> list[dict[str, Any]]:
    """Our marker, and the agent's configuration where the former user data had none."""
    if wanted.guest_config is None or any(_is_guest_config(entry) for entry in kept):
        return [_marker_entry(marker, wanted)]
    beside = next((str(entry['path']) for entry in kept if _GUEST_INFO in str(entry.get('path', ''))), MARKER_PATH)
    return [_entry(posixpath.join(posixpath.dirname(beside), GUEST_CONFIG_NAME), wanted.guest_config), _marker_entry(marker, wanted)]


def _is_guest_config(entry: dict[str, Any]) -> bool:
    return posixpath.basename(str(entry.get('path', ''))) == GUEST_CONFIG_NAME


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


def _marker_entry(marker: str, wanted: Wanted) -> dict[str, Any]:
    lines = {'upgrade_marker': marker, 'upgrade_volume_uuid': wanted.volume_uuid, 'guest_topic_prefix': wanted.guest_topic_prefix}
    text = ''.join(f'{name} = {value}\n' for name, value in lines.items() if value is not None)
    return _entry(MARKER_PATH, f'[trove_upgrade]\n{text}')


def _entry(path: str, content: str) -> dict[str, Any]:
    return {'path': path, 'owner': 'root:root', 'permissions': '0644', 'encoding': 'b64',
            'content': base64.b64encode(content.encode()).decode()}


def _for_target(entry: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    """guest_info.conf names the version that the guest runs; every file that nothing is wanted of stays as it is."""
    if _GUEST_INFO in str(entry.get('path', '')):
        return _changed(entry, lambda text: _guest_info(text, wanted))
    if wanted.guest_config is not None and _is_guest_config(entry):
        return {**entry, 'encoding': 'b64', 'content': base64.b64encode(wanted.guest_config.encode()).decode()}
    if wanted.lone_nic and entry.get('path') == DOCKER_PATH:
        return _changed(entry, _with_bridge)
    return entry


def _changed(entry: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    encoding = str(entry.get('encoding', '')).lower()
    content = entry.get('content', '')
    try:
        if encoding in {'b64', 'base64'}:
            changed = change(base64.b64decode(str(content)).decode())
            return {**entry, 'content': base64.b64encode(changed.encode()).decode()}
        if not encoding and isinstance(content, str):
            return {**entry, 'content': change(content)}
    except (binascii.Error, ValueError) as error:
        raise _refused(f'its {entry.get("path")} cannot be read: {error}', 'USER_DATA_UNREADABLE') from error
    return entry


def _guest_info(text: str, wanted: Wanted) -> str:
    """Lines that are there are changed, names and order are Trove's; the RPC key and whose guest it is are not touched."""
    missing: list[str] = []
    for name, value in wanted.settings().items():
        text, found = re.subn(rf'(?m)^([ \t]*{name}[ \t]*[=:][ \t]*)[^\r\n]*', functools.partial(_with_value, value), text)
        if not found and name in _ADDED:
            missing.append(f'{name}={value}\n')
    header = re.search(r'(?m)^[ \t]*\[DEFAULT\][ \t]*(?:\r?\n|\Z)', text)
    if not missing or header is None:
        return text
    before = text[:header.end()]
    return f'{before}{"" if before.endswith(chr(10)) else chr(10)}{"".join(missing)}{text[header.end():]}'


def _with_bridge(text: str) -> str:
    """Docker gets its bridge back: with `none` the database of a server with one NIC could be reached by nobody."""
    settings = json.loads(text)
    if not isinstance(settings, dict) or settings.get('bridge') != 'none':
        return text
    return json.dumps({name: value for name, value in settings.items() if name not in {'bridge', 'ip-forward', 'iptables'}})


def _with_value(value: str, found: re.Match[str]) -> str:
    return found[1] + value


def _multipart(text: bytes, marker: str, wanted: Wanted) -> bytes:
    """Parts stay; cloud-config parts are re-rendered, and the marker comes as a part of its own that appends to write_files."""
    message = email.message_from_bytes(text)
    if not message.is_multipart():
        raise _refused('it says that it is a MIME multipart and has no parts', 'USER_DATA_UNREADABLE')
    parts: list[email.message.Message] = []
    kept: list[dict[str, Any]] = []
    for part in message.get_payload():
        if not isinstance(part, email.message.Message) or part.get_filename() == _MARKER_PART:
            continue
        changed, files = _part_for_target(part, wanted)
        parts.append(changed)
        kept.extend(files)
    addition = _dump({'merge_how': 'list(append)+dict(no_replace,recurse_list)+str()', 'write_files': _new(kept, marker, wanted)})
    extra = email.mime.text.MIMEText(addition.decode(), 'cloud-config', 'utf-8')
    extra.add_header('Content-Disposition', 'attachment', filename=_MARKER_PART)
    boundary = message.get_boundary()
    outer = email.mime.multipart.MIMEMultipart(boundary=boundary)
    for part in [*parts, extra]:
        outer.attach(part)
    return outer.as_bytes()


def _part_for_target(part: email.message.Message, wanted: Wanted) -> tuple[email.message.Message, list[dict[str, Any]]]:
    """The part, and the files that it writes; one that writes none of Trove's stays byte for byte."""
    payload = part.get_payload(decode=True)
    if part.get_content_type() != 'text/cloud-config' or not isinstance(payload, bytes) or not any(
            name.encode() in payload for name in (_GUEST_INFO, GUEST_CONFIG_NAME, ETH1_PATH, DOCKER_PATH)):
        return part, []
    document = _document(payload)
    kept = _kept(document, wanted)
    if kept == document.get('write_files'):
        return part, kept
    document['write_files'] = kept
    changed = email.mime.text.MIMEText(_dump(document).decode(), 'cloud-config', 'utf-8')
    disposition = part.get('Content-Disposition')
    if disposition:
        changed['Content-Disposition'] = disposition
    return changed, kept

# SPDX-License-Identifier: Apache-2.0
"""The user data that a rebuilt server gets: what it had, for the target version, with our marker.

The guest's own files travel in user data as cloud-config `write_files`.  Nova keeps nothing else of
the old root disk, and the agent believes its configuration from here alone.  What belongs to the
server (its id, its RPC key, its ports, how its engine is set up, the number of the database's user)
stays as it was when the server was made; what belongs to the version, and what Trove keeps in its
rows, is taken anew; the operator's own template of the agent's configuration is taken anew where
the configuration names it.  Pure: text in, text out.

Source: trove/instance/models.py, get_injected_files and prepare_cloud_config (Trove 26).
"""

import base64
import dataclasses
from typing import Any

from trove_upgrade.domain import exceptions, upgrade_info
from trove_upgrade.domain.cloud_init import documents, kinds, limits, messages, parts, write_files
from trove_upgrade.domain.cloud_init.kinds import Kind
from trove_upgrade.taskmanager import (
    added_files,
    agent_options,
    container_repositories,
    file_entries,
    guest_info,
    injected_files,
    plain_values,
)
from trove_upgrade.taskmanager.contents import Contents

MARKER_PATH, KEY_PATH = added_files.MARKER_PATH, added_files.KEY_PATH
#: Nova's own bound, of the base64 form.  Source: Nova api-ref, "user_data".
LIMIT_BYTES = 65535

ETH1_PATH, DOCKER_PATH = injected_files.ETH1_PATH, injected_files.DOCKER_PATH

_MARKER_PART = 'trove-upgrade-marker.txt'
#: Our part adds to the files of all before it, however they were merged.
_MERGE = 'list(append)+dict(no_replace,recurse_list)+str()'
_COMMANDS = ('bootcmd', 'runcmd')
_UNREADABLE = (
    parts.PartUnreadable,
    messages.MessageUnreadable,
    documents.DocumentUnreadable,
    write_files.EntryUnreadable,
    limits.BeyondLimits,
    guest_info.NotChanged,
)


def render(former: bytes | None, marker: str, contents: Contents) -> bytes:
    """User data for the rebuild that `marker` belongs to.

    :raises StepRefused: it cannot be read, cannot carry the marker, would keep the former version,
    or would be longer than Nova takes.
    """
    if former is None or is_blank(former):
        raise _refused('it has none that Nova shows to the service user', 'USER_DATA_MISSING')
    try:
        text = parts.unpacked(former)
        _require_plain(marker, contents)
        files = documents.files(text)
        kept = agent_options.kept_for_server(
            files, contents.guest_config, contents.datastore_manager, MARKER_PATH
        )
        plain_values.require_lines(kept, 'the number of the database user')
        repositories = container_repositories.of_guest(files, contents, marker, MARKER_PATH)
        contents = dataclasses.replace(contents, container_repositories=repositories)
        _require_plain(marker, contents)
        rendered = _Rendering(marker, contents, kept).of(text)
        _require_read_again(rendered)
    except _UNREADABLE as error:
        raise _refused(str(error), 'USER_DATA_UNREADABLE') from error
    result = parts.packed(rendered) if parts.is_compressed(former) else rendered
    length = len(base64.b64encode(result))
    if length > LIMIT_BYTES:
        raise _refused(
            f'it would be {length} bytes long in base64, and Nova takes {LIMIT_BYTES}',
            'USER_DATA_TOO_LONG',
        )
    return result


def _require_read_again(rendered: bytes) -> None:
    """A header with a character that ends lines for some, such as a vertical tab, is another one
    once the message was written.
    """
    if MARKER_PATH not in documents.files(rendered):
        raise documents.DocumentUnreadable('a part of it is lost when it is written again')


def is_blank(text: bytes | None) -> bool:
    """Return whether a server has no user data that Nova shows, or one without a character."""
    return text is None or not text.strip()


def tells_guest(text: bytes | None) -> bool:
    """Return whether a user data brings guest_info.conf, without which a guest does not know which
    instance it is.  False of one that cannot be read.
    """
    if text is None:
        return False
    try:
        files = documents.files(parts.unpacked(text))
    except _UNREADABLE:
        return False
    return any(
        guest_info.is_guest_info(path, content.decode(errors='replace'))
        for path, content in files.items()
    )


def overwritten(former: bytes | None, rendered: bytes) -> list[str]:
    """Paths of files that the former user data would write with another
    content than the rendered one.

    Source: trove/taskmanager/models.py, RebuildAction (Trove 26): what a server has as user data
    overwrites injected files.
    """
    old, new = documents.files(former or b''), documents.files(rendered)
    return sorted(path for path, content in old.items() if path in new and new[path] != content)


def _refused(found: str, code: str) -> exceptions.StepRefused:
    return exceptions.StepRefused(
        f'The user data of the server cannot be sent again with a rebuild: {found}. Recreate the '
        "instance's user data as cloud-config with write_files.",
        code,
    )


def _require_plain(marker: str, contents: Contents) -> None:
    """A value with a line of its own would be an option of its own,
    read by the agents on the next root disk.

    Every value is looked at here once more, whatever has checked it before.  The operator's own
    file is text of several lines.
    """
    values = {
        'marker': marker,
        'volume_uuid': contents.volume_uuid,
        'upgrade_image_archive': added_files.image_archive_of(contents),
        'guest_topic_prefix': contents.guest_topic_prefix,
        **contents.settings(),
    }
    plain_values.require(values)
    if contents.volume_uuid is not None and not upgrade_info.is_volume_uuid(contents.volume_uuid):
        raise plain_values.refused('volume_uuid')


class _Rendering:
    """One user data on its way to the target, and what was seen in it so far.

    Raises guest_info.NotChanged where a part of it would keep the former version, and what
    `domain.cloud_init` raises.
    """

    def __init__(self, marker: str, contents: Contents, kept_options: str) -> None:
        """`kept_options` go into the marker's file, which the agents read last."""
        self._marker = marker
        self._kept_options = kept_options
        self._contents = contents
        self._kept: list[dict[str, Any]] = []
        self._sees_guest_info = False
        #: parts that name guest_info and cannot be read as cloud-config
        self._mentions: list[str] = []

    def of(self, text: bytes) -> bytes:
        """The whole text, unpacked; returns it with the marker."""
        kind = kinds.of_part(kinds.UNDECLARED, text)
        if kind is Kind.CLOUD_CONFIG:
            return self._whole_document(text)
        if kind is Kind.ARCHIVE:
            return self._archive(text)
        if messages.is_message(text):
            return self._message(messages.Message.read(text))
        if kind is Kind.TEMPLATE:
            return self._message(messages.Message.around(kind, text))
        self._text(kind, text)
        self._require_no_hidden_guest_info()
        raise _refused(
            'it is neither cloud-config nor a MIME multipart, so that the marker cannot be added',
            'USER_DATA_NOT_CLOUD_CONFIG',
        )

    def _whole_document(self, text: bytes) -> bytes:
        document = documents.load(text)
        kept = self._files(document)
        document['write_files'] = [*kept, *self._new(kept)]
        return documents.dump(document)

    def _archive(self, text: bytes) -> bytes:
        """The marker is an entry of its own."""
        entries = parts.entries_of(text)
        own = [file_entries.content_of(entry) for entry in entries if _is_ours(entry)]
        others = parts.archive_of([entry for entry in entries if not _is_ours(entry)])
        changed = parts.changed_part(Kind.ARCHIVE, others, self._text)
        added = {
            'filename': _MARKER_PART,
            'type': str(Kind.CLOUD_CONFIG),
            'content': self._addition(own).decode(),
        }
        self._require_no_hidden_guest_info()
        return parts.archive_of([*parts.entries_of(changed), added])

    def _message(self, message: messages.Message) -> bytes:
        """Parts stay; cloud-config is changed where it is,
        and the marker comes as a part of its own.
        """
        if not message.is_multipart and not self._can_stand_alone(message):
            raise messages.MessageUnreadable('its type is a MIME multipart, and it has no parts')
        own = message.take(_MARKER_PART)
        parts.change_message(message, self._text)
        addition = self._addition(own)
        self._require_no_hidden_guest_info()
        message.attach(Kind.CLOUD_CONFIG, addition, _MARKER_PART)
        return message.as_bytes()

    def _can_stand_alone(self, message: messages.Message) -> bool:
        return any(
            kinds.is_compressed(declared)
            or kinds.of_part(declared, content) in {Kind.CLOUD_CONFIG, Kind.ARCHIVE, Kind.TEMPLATE}
            for declared, content in message.leaves()
        )

    def _addition(self, own: list[bytes]) -> bytes:
        """Our part; what a part of an upgrade before had beside the marker stays in it."""
        former = [entry for content in own for entry in self._files(documents.load(content))]
        return documents.dump(
            {'merge_how': _MERGE, 'write_files': [*former, *self._new(self._kept)]}
        )

    def _text(self, kind: Kind, content: bytes) -> bytes:
        """One text as a handler of cloud-init gets it."""
        if kind is Kind.CLOUD_CONFIG:
            return self._part(content)
        if kind is Kind.TEMPLATE:
            return self._template(content)
        text = content.decode(errors='replace')
        file_entries.require_unnamed(KEY_PATH, kind, text)
        if kind in kinds.INCLUDES:
            self._mentions.append('the address that a part includes')
        elif kind is Kind.PATCH and guest_info.NAME in text:
            raise guest_info.NotChanged(
                f'a part of type {kind} writes {guest_info.NAME}, and it cannot be changed there'
            )
        elif guest_info.is_written_by(text):
            raise guest_info.NotChanged(
                f'a part of type {kind or "unknown to cloud-init"} could write {guest_info.NAME}, '
                'and it cannot be changed there'
            )
        elif guest_info.NAME in text:
            self._mentions.append(f'a part of type {kind or "unknown to cloud-init"}')
        return content

    def _part(self, content: bytes) -> bytes:
        """A cloud-config among others; one that writes none of Trove's
        files stays byte for byte.
        """
        try:
            document = documents.load(content)
            former = documents.entries_of(document)
        except documents.DocumentUnreadable:
            if guest_info.NAME.encode() in content:
                raise
            return content  # cloud-init leaves it out, too
        kept = self._files(document)
        if kept == former:
            return content
        document['write_files'] = kept
        return documents.dump(document)

    def _template(self, content: bytes) -> bytes:
        """A cloud-config with places that the guest fills in is left alone,
        unless it writes guest_info.
        """
        template = documents.of_template(content)
        if template is not None:
            changed = self._part(template[1])
            if changed == template[1]:
                return content
            if not documents.has_places(changed):
                return template[0] + changed
        file_entries.require_unnamed(KEY_PATH, Kind.TEMPLATE, content.decode(errors='replace'))
        if guest_info.NAME.encode() in content:
            raise guest_info.NotChanged(
                f'a template of Jinja writes {guest_info.NAME}, and it cannot be changed there'
            )
        return content

    def _files(self, document: dict[Any, Any]) -> list[dict[str, Any]]:
        """The former files, for the target; our marker and what would shut
        the only NIC are left out.
        """
        for name in _COMMANDS:
            file_entries.require_unnamed(KEY_PATH, name, str(document.get(name)))
            if guest_info.is_written_by_commands(document.get(name)):
                raise guest_info.NotChanged(
                    f'its {name} could write {guest_info.NAME}, and it cannot be changed there'
                )
        dropped = (
            {MARKER_PATH, KEY_PATH, ETH1_PATH}
            if self._contents.lone_nic
            else {MARKER_PATH, KEY_PATH}
        )
        kept = [
            file_entries.private(self._for_target(entry))
            for entry in documents.entries_of(document)
            if file_entries.path_of(entry) not in dropped
        ]
        self._kept += kept
        return kept

    def _for_target(self, entry: dict[str, Any]) -> dict[str, Any]:
        """guest_info.conf names the version that the guest runs; a file for which nothing is given
        stays as it is.
        """
        contents, path = self._contents, file_entries.path_of(entry)
        if file_entries.is_guest_info(entry):
            self._sees_guest_info = True
            return file_entries.changed(
                entry, lambda text: guest_info.changed(text, contents.settings())
            )
        if contents.guest_config is not None and file_entries.is_guest_config(entry):
            return write_files.in_place_of(entry, contents.guest_config)
        if contents.lone_nic and path == DOCKER_PATH:
            return file_entries.changed(entry, file_entries.with_bridge)
        if guest_info.gives_version(file_entries.text_or_nothing(entry)):
            raise guest_info.NotChanged(
                f'its file {path} writes a version into {guest_info.NAME}, '
                'and it cannot be changed there'
            )
        return entry

    def _new(self, kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return added_files.beside(kept, self._marker, self._contents, self._kept_options)

    def _require_no_hidden_guest_info(self) -> None:
        """Refuse user data in which no cloud-config writes guest_info.conf: what names it elsewhere
        would bring the former version.
        """
        if self._mentions and not self._sees_guest_info:
            raise guest_info.NotChanged(
                f'no cloud-config in it writes {guest_info.NAME}.conf, and {self._mentions[0]}, '
                'which cannot be changed, may do so'
            )


def _is_ours(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get('filename') == _MARKER_PART

# SPDX-License-Identifier: Apache-2.0
"""The YAML of cloud-config, and the files that a whole user data writes."""

from typing import Any

import yaml

from trove_upgrade.domain.cloud_init import kinds, limits, parts, texts, write_files

HEADER = b'#cloud-config\n'
#: What stands in a template for a value that only the guest knows, or steers how it is filled in.
_PLACES = (b'{{', b'{%', b'{#')


class DocumentUnreadable(ValueError):
    """The text is no cloud-config: no YAML, or no mapping."""


def load(text: bytes) -> dict[Any, Any]:
    """Return the mapping of a cloud-config; empty where it has none.

    :raises DocumentUnreadable: cloud-init would leave it out, with a warning in its log.
    :raises limits.BeyondLimits: it is more than is read.
    """
    try:
        document = texts.load(text)
    except texts.TextUnreadable as error:
        raise DocumentUnreadable(f'its YAML cannot be read: {error}') from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise DocumentUnreadable('its cloud-config is not a mapping')
    return document


def dump(document: dict[Any, Any]) -> bytes:
    """Return the text of a cloud-config."""
    return HEADER + dump_yaml(document)


def dump_yaml(document: Any) -> bytes:
    """Return YAML that reads the same everywhere: in ASCII,
    as U+0085 would come back as a space.
    """
    return yaml.safe_dump(document, sort_keys=False, default_flow_style=False).encode()


def entries_of(document: dict[Any, Any]) -> list[dict[str, Any]]:
    """Return the entries of `write_files`.

    :raises DocumentUnreadable: it is not a list of mappings.
    :raises write_files.EntryUnreadable: cloud-init would stop at one, before the files behind it.
    :raises limits.BeyondLimits: it is more than is read.
    """
    found = document.get('write_files') or []
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise DocumentUnreadable('its write_files is not a list of mappings')
    for entry in found:
        write_files.require(entry)
    return found


def has_places(text: bytes) -> bool:
    """Tell whether a text is another one once Jinja has filled it in."""
    return any(mark in text for mark in _PLACES)


def of_template(template: bytes) -> tuple[bytes, bytes] | None:
    """Return header and cloud-config of a template; None where it has places,
    or another form below its header.
    """
    header, end, rest = template.lstrip().partition(b'\n')
    is_config = kinds.by_content(rest) is kinds.Kind.CLOUD_CONFIG
    return (header + end, rest) if is_config and not has_places(rest) else None


def files(user_data: bytes) -> dict[str, bytes]:
    """Return path -> content of what every cloud-config of a user data writes; the last one that
    writes a file counts.

    What cannot be read is left out, as cloud-init does, and what comes from an address too.

    :raises parts.PartUnreadable: a compressed part cannot be unpacked.
    :raises messages.MessageUnreadable: it is a multipart without parts.
    :raises limits.BeyondLimits: it is more than is read.
    :raises write_files.EntryUnreadable: cloud-init would stop at an entry.
    """
    found: dict[str, bytes] = {}

    def collect(kind: kinds.Kind, content: bytes) -> bytes:
        template = of_template(content) if kind is kinds.Kind.TEMPLATE else None
        if kind is kinds.Kind.CLOUD_CONFIG or template is not None:
            found.update(_written(template[1] if template else content, found))
        return content

    parts.changed(user_data, collect)
    return found


def _written(content: bytes, before: dict[str, bytes]) -> dict[str, bytes]:
    written = dict(before)
    try:
        for entry in entries_of(load(content)):
            path = write_files.path_of(entry)
            if path and not write_files.is_fetched(entry):
                former = written.get(path, b'') if entry.get('append') is True else b''
                written[path] = former + write_files.content_of(entry)
                _require_length(written)
    except DocumentUnreadable:
        return written
    return written


def _require_length(written: dict[str, bytes]) -> None:
    if sum(map(len, written.values())) > limits.MOST_FILE_BYTES:
        raise limits.BeyondLimits(f'its files have more than {limits.MOST_FILE_BYTES} bytes')

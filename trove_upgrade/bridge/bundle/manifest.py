# SPDX-License-Identifier: Apache-2.0
"""Manifest of a bundle: what it was made for, and the digest of every file in it."""

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any, Self

#: Of this form; a bundle of another form needs another bridge.
FORMAT_VERSION = 1
#: In the archive, its first member.
NAME = 'manifest.json'
_DIGEST = re.compile(r'[0-9a-f]{64}')
_NUMBERS = re.compile(r'\d+\.\d+')


class ManifestMalformed(ValueError):
    """A manifest has another form than this release reads."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """Facts of one bundle.

    `glibc` is the oldest C library that it runs on, such as "2.31".  `files` maps each path below
    the bundle, except the manifest's own, to its SHA-256; `links` maps each symbolic link to its
    target.
    """

    product_version: str
    python_version: str
    glibc: str
    architecture: str
    files: Mapping[str, str]
    links: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the content of the file; the same bytes for the same manifest."""
        document = {
            'format_version': FORMAT_VERSION,
            'product_version': self.product_version,
            'python_version': self.python_version,
            'glibc': self.glibc,
            'architecture': self.architecture,
            'files': dict(self.files),
            'links': dict(self.links),
        }
        return (json.dumps(document, indent=1, sort_keys=True) + '\n').encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` has written; fields that a later release has added are left out.

        :raises ManifestMalformed: it has another form; the text says which part.
        """
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            raise ManifestMalformed('it is no JSON') from None
        if not isinstance(document, dict):
            raise ManifestMalformed('it is no JSON object')
        if document.get('format_version') != FORMAT_VERSION:
            raise ManifestMalformed(
                f'it has format version {document.get("format_version")!r}, and this release reads '
                f'{FORMAT_VERSION}'
            )
        return cls(
            **{name: _text(document, name) for name in ('product_version', 'python_version')},
            glibc=_numbers(document, 'glibc'),
            architecture=_text(document, 'architecture'),
            files=_paths(document, 'files', _DIGEST),
            links=_paths(document, 'links', None),
        )


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ManifestMalformed(f'its field {name} is no text')
    return value


def _numbers(document: Mapping[str, Any], name: str) -> str:
    value = _text(document, name)
    if not _NUMBERS.fullmatch(value):
        raise ManifestMalformed(f'its field {name} is no version')
    return value


def _paths(
    document: Mapping[str, Any], name: str, form: re.Pattern[str] | None
) -> Mapping[str, str]:
    value = document.get(name)
    if not isinstance(value, dict):
        raise ManifestMalformed(f'its field {name} is no table')
    for path, content in value.items():
        if not is_below(path):
            raise ManifestMalformed(f'its field {name} has a path outside the bundle')
        if not isinstance(content, str) or (form is not None and not form.fullmatch(content)):
            raise ManifestMalformed(f'its field {name} has an entry of another form')
    return value


def is_below(path: str) -> bool:
    """Return whether a path names a place below the bundle and nothing else."""
    return bool(path) and not path.startswith('/') and not {'', '.', '..'} & {*path.split('/')}

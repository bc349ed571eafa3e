# SPDX-License-Identifier: Apache-2.0
"""Digests that an archive of a container image tells its large files to have.

Engines of today name a file after its digest.  Others save a document that names the layers of each
image in the order in which the image's configuration has their digests.  All of it can be wrong.

Source: the Docker Image Specification v1.2, "Combined Image JSON + Filesystem Changeset Format";
the OCI Image Layout Specification.
"""

import functools
import json
from collections.abc import Callable, Iterator, Mapping

from trove_upgrade.guestagent.machine.containers import image_documents

_LIST = 'manifest.json'


class Hints:
    """Digests that one archive tells."""

    def __init__(self, document: Callable[[str], bytes]) -> None:
        """`document`: reads a small file of the archive by its name; KeyError: it has none."""
        self._document = document

    def digest(self, name: str) -> str | None:
        """Return the digest that a file is to have; None where that is not told."""
        return image_documents.digest_at(name) or self._layers.get(name)

    @functools.cached_property
    def _layers(self) -> Mapping[str, str]:
        try:
            return dict(self._listed())
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
            return {}  # then all of them are hashed

    def _listed(self) -> Iterator[tuple[str, str]]:
        for image in json.loads(self._document(_LIST)):
            digests = json.loads(self._document(image['Config']))['rootfs']['diff_ids']
            for name, digest in zip(image['Layers'], digests, strict=True):
                if image_documents.DIGEST.fullmatch(digest):
                    yield name, digest

# SPDX-License-Identifier: Apache-2.0
"""Names of container images, read as registries and engines read them.

Source: the grammar of references of the distribution project (reference/reference.go and
normalize.go), which the OCI distribution specification shares for names, tags and digests.
"""

import dataclasses
import re
from typing import Self

#: What an image without a registry in its name comes from, and the other names of that registry.
DOCKER_HUB = 'docker.io'
_HUB_NAMES = frozenset({DOCKER_HUB, 'index.docker.io', 'registry-1.docker.io'})
_OFFICIAL = 'library/'

_NAME_CHARACTERS = 255
_LABEL = r'[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?'
_HOST = rf'(?:{_LABEL}(?:\.{_LABEL})*|\[[A-Fa-f0-9:]+\])'
_REGISTRY = re.compile(rf'{_HOST}(?::[0-9]+)?')
_PART = r'[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*'
_PATH = re.compile(rf'{_PART}(?:/{_PART})*')
_TAG = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}')
_DIGEST = re.compile(r'sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}')
#: An engine takes such a name for the id of an image, of whichever repository.
_IDENTIFIER = re.compile(r'[0-9a-f]{64}')


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageReference:
    """Name of a container image."""

    name: str  #: as it was written, without tag and digest
    registry: str  #: host, and port if one was written; `DOCKER_HUB` where none was
    path: str  #: within the registry
    tag: str | None
    digest: str | None

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `text`.

        :raises ValueError: no registry has an image of such a name; the message says what is wrong.
        """
        if not isinstance(text, str):
            raise ValueError('it is no text')  # noqa: TRY004 - what a call brings has no type, only a form
        rest, at, digest = text.partition('@')
        if at and _DIGEST.fullmatch(digest) is None:
            raise ValueError('its digest is none of sha256 or sha512')
        name, colon, tag = rest.rpartition(':')
        if not colon or '/' in tag:
            name, tag = rest, ''
        elif not is_tag(tag):
            raise ValueError('its tag is none')
        registry, path = _split(name)
        if (
            len(f'{registry}/{path}') > _NAME_CHARACTERS
            or _IDENTIFIER.fullmatch(name)
            or _PATH.fullmatch(path) is None
            or _REGISTRY.fullmatch(registry) is None
        ):
            raise ValueError('its repository is none')
        return cls(name=name, registry=registry, path=path, tag=tag or None, digest=digest or None)

    @property
    def repository(self) -> str:
        """The one name of all references to the same repository."""
        return f'{self.registry}/{self.path}'

    @property
    def exact(self) -> str:
        """The text for an engine: by the digest where there is one, and the tag is then left out;
        else by the tag.
        """
        return (
            f'{self.name}@{self.digest}' if self.digest else f'{self.name}:{self.tag or "latest"}'
        )


def is_tag(text: object) -> bool:
    """Return True where `text` can be a tag."""
    return isinstance(text, str) and _TAG.fullmatch(text) is not None


def repository_of(text: object) -> str:
    """Return the one name of a repository that is written without tag and digest.

    :raises ValueError: it is none.
    """
    found = ImageReference.parse(text)
    if found.tag or found.digest:
        raise ValueError('a repository is written without tag and digest')
    return found.repository


def registry_of(address: str) -> str:
    """Return the registry that the address of a login means, a host or a URL.

    Source: docker/registry, ConvertToHostname: the scheme and all from the
    first slash on do not count.
    """
    without_scheme = address.strip().lower().removeprefix('https://').removeprefix('http://')
    return _registry(without_scheme.partition('/')[0])


def _split(name: str) -> tuple[str, str]:
    """Registry and path; the first part is a registry only where no repository of Docker's own
    could be called so.
    """
    first, slash, rest = name.partition('/')
    if not slash or (
        first.lower() == first and first != 'localhost' and not set(first) & set('.:[')
    ):
        return DOCKER_HUB, name if slash else f'{_OFFICIAL}{name}'
    registry = _registry(first.lower())
    return registry, f'{_OFFICIAL}{rest}' if registry == DOCKER_HUB and '/' not in rest else rest


def _registry(host: str) -> str:
    return DOCKER_HUB if host in _HUB_NAMES else host

# SPDX-License-Identifier: Apache-2.0
"""Archive of a container image that the former guest has put onto the data volume, for the next
root disk.

Its facts travel in `upgrade_info`, and from there into the user data of the rebuild: the volume is
not believed, and what lies there counts only once it has this digest.
"""

import dataclasses
import enum
import re
from collections.abc import Mapping
from typing import Any, Self

_SHA256 = re.compile(r'[0-9a-f]{64}')
#: Id of a container image, as engines print it.
IMAGE_ID = re.compile(r'sha256:[0-9a-f]{64}')
#: Far above an image of a database.
LARGEST_BYTES = 1 << 36
_NAMES = ('sha256', 'size_bytes', 'image_id')


class Invalid(ValueError):
    """Error of facts that are not of their form; the text holds nothing of them."""


class ImageSource(enum.StrEnum):
    """Origin of the container image that a new root disk runs.  The values are on the wire."""

    PRELOADED = 'preloaded'  #: it was in the guest image
    CARRIED = 'carried'  #: it came on the data volume
    PULLED = 'pulled'  #: a registry gave it


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageArchive:
    """Facts by which the next root disk believes an archive."""

    sha256: str  #: of the whole file
    size_bytes: int
    image_id: str  #: by which the former guest's engine knew the image that it tried

    def __post_init__(self) -> None:
        """Refuse what could become a second option of a file, or a file without bound.

        :raises Invalid: a field is not of its form.
        """
        if not (
            _matches(_SHA256, self.sha256)
            and is_image_id(self.image_id)
            and _is_size(self.size_bytes)
        ):
            raise Invalid('the facts of an archive are not of their form')

    def to_wire(self) -> dict[str, Any]:
        """Return a dictionary that is ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_wire(cls, wire: Any) -> Self:
        """Read `wire`; fields that only a later release knows are left out.

        :raises Invalid: it is not of its form.
        """
        if not isinstance(wire, Mapping):
            raise Invalid('the facts of an archive are no mapping')
        found: dict[str, Any] = {name: wire.get(name) for name in _NAMES}
        return cls(**found)

    def to_option(self) -> str:
        """Return the value of the option in the marker's file."""
        return f'{self.sha256} {self.size_bytes} {self.image_id}'

    @classmethod
    def from_option(cls, text: str) -> Self:
        """Read the value of the option.

        :raises Invalid: it is not of its form.
        """
        parts = text.split(' ')
        if len(parts) != 3 or re.fullmatch(r'[0-9]{1,11}', parts[1], re.ASCII) is None:
            raise Invalid('the facts of an archive are not of their form')
        return cls(sha256=parts[0], size_bytes=int(parts[1]), image_id=parts[2])


def is_archive(value: object) -> bool:
    """Return whether `value` is of the form that travels."""
    try:
        ImageArchive.from_wire(value)
    except Invalid:
        return False
    return True


def is_image_id(value: object) -> bool:
    """Return whether `value` is an id as engines print it."""
    return _matches(IMAGE_ID, value)


def _matches(form: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_BYTES

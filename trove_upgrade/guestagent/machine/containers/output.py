# SPDX-License-Identifier: Apache-2.0
"""Output of containers, taken apart: the engine sends both of a container's outputs in frames, and
JSON a line at a time.

A frame is a byte that names the output (1 standard, 2 error), three zero bytes, the length in four
bytes, big-endian, and so many bytes (Docker Engine API, "Attach to a container").
"""

import codecs
from collections.abc import Callable, Iterable, Iterator

#: What is kept of an output: its end.
KEPT_BYTES = 1 << 20

_HEADER_BYTES = 8
_LINE_BYTES = 64 << 10


def unframed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join both outputs into one, in the order in which they came.

    :raises ValueError: these are no frames.
    """
    header = bytearray()
    left = 0
    for piece in pieces:
        view = memoryview(piece)
        while view:
            if left:
                yield bytes(view[:left])
                taken = min(left, len(view))
                left -= taken
            else:
                taken = min(_HEADER_BYTES - len(header), len(view))
                header += view[:taken]
                if len(header) == _HEADER_BYTES:
                    left = _length(header)
                    header.clear()
            view = view[taken:]


def _length(header: bytearray) -> int:
    if header[0] > 2 or any(header[1:4]):
        raise ValueError(f'no frame of a container output begins with {bytes(header)!r}')
    return int.from_bytes(header[4:], 'big')


def lines(pieces: Iterable[bytes], limit_bytes: int = _LINE_BYTES) -> Iterator[bytes]:
    """Line by line, without its end; a longer one comes in parts of `limit_bytes`."""
    held = bytearray()
    for piece in pieces:
        held += piece
        *whole, rest = held.split(b'\n')
        yield from (bytes(line) for line in whole)
        held = bytearray(rest)
        while len(held) >= limit_bytes:
            yield bytes(held[:limit_bytes])
            del held[:limit_bytes]
    if held:
        yield bytes(held)


class Tail:
    """Keeps the end of an output, and tells each line as it comes."""

    def __init__(self, limit_bytes: int, on_line: Callable[[str], None] | None = None) -> None:
        self._limit = limit_bytes
        self._on_line = on_line
        self._kept = bytearray()

    def take(self, pieces: Iterable[bytes]) -> None:
        """Take all pieces, and hand each line on. What `on_line` raises goes through."""
        for line in lines(self._keeping(pieces)):
            if self._on_line is not None:
                self._on_line(line.decode(errors='replace').rstrip('\r'))

    def _keeping(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._kept += piece
            del self._kept[: -self._limit]
            yield piece

    @property
    def text(self) -> str:
        """The end of it; a character that was cut at the limit is left out."""
        return codecs.decode(bytes(self._kept), 'utf-8', 'replace').lstrip('\ufffd')

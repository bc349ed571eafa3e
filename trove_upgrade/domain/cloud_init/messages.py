# SPDX-License-Identifier: Apache-2.0
"""User data that is a MIME message: its parts are changed where they are,
and keep their headers.
"""

import base64
import email
import email.errors
import email.generator
import email.message
import email.mime.multipart
import email.policy
import io
import re
from collections.abc import Callable, Iterator
from typing import Self

from trove_upgrade.domain.cloud_init import kinds, limits

#: How far cloud-init looks for the header that makes a message.  Source:
#: cloudinit/user_data.py, convert_string.
_LOOKED_AT = 4096
_ENCODING = 'Content-Transfer-Encoding'
_BASE64_LINE = 76
#: The same each time: the same input gives the same bytes.  No YAML and no base64
#: of ours has such a line.
_BOUNDARY = '===============trove-upgrade=='
_ENCODED = frozenset({'base64', 'quoted-printable', 'x-uuencode', 'uuencode', 'uue', 'x-uue'})


class MessageUnreadable(ValueError):
    """The message promises parts and has none."""


def is_message(text: bytes) -> bool:
    """Tell whether cloud-init reads `text` as a MIME message: by one header, unless the content has
    a form of its own.
    """
    return kinds.by_content(text) is None and b'mime-version:' in text[:_LOOKED_AT].lower()


class Message:
    """A MIME message, changed in place.  Not safe to share between threads."""

    def __init__(self, message: email.message.Message, line_end: str = '\n') -> None:
        self._message = message
        self._line_end = line_end

    @classmethod
    def read(cls, text: bytes) -> Self:
        """Return the message of a text.

        :raises MessageUnreadable: it is a multipart without parts.
        :raises limits.BeyondLimits: it has more parts, or deeper ones, than are read.
        """
        try:
            message = email.message_from_bytes(text)
        except RecursionError as error:
            raise limits.BeyondLimits('its messages are nested too deeply') from error
        _require_parts(message)
        if message.get_content_maintype() == 'multipart' and not message.is_multipart():
            raise MessageUnreadable('its type is a MIME multipart, and it has no parts')
        return cls(message, '\r\n' if text.partition(b'\n')[0].endswith(b'\r') else '\n')

    @classmethod
    def around(cls, kind: kinds.Kind, content: bytes) -> Self:
        """Return a message of one part, `content`."""
        made = cls(email.mime.multipart.MIMEMultipart(boundary=_BOUNDARY))
        made._attach(kind, content)
        return made

    @property
    def is_multipart(self) -> bool:
        """Return True where a part can be attached as it is."""
        return self._message.is_multipart()

    def leaves(self) -> Iterator[tuple[str, bytes]]:
        """Yield the declared type and the content of every part that holds no other parts."""
        for leaf in self._leaves():
            yield leaf.get_content_type(), _content_of(leaf)

    def change(self, change: Callable[[str, bytes], bytes]) -> None:
        """Hand type and content of every part to `change`,
        and put what it returns in the content's place.

        Headers stay; a part that comes back as it was keeps its bytes.
        """
        for leaf in list(self._leaves()):
            content = _content_of(leaf)
            new = change(leaf.get_content_type(), content)
            if new != content or self._would_change(leaf):
                _put(leaf, new)

    def take(self, filename: str) -> list[bytes]:
        """Remove the parts of that name; returns what they held.

        :raises MessageUnreadable: the name of a part is in a form that nothing reads.
        """
        found: list[bytes] = []
        for container in list(self._message.walk()):
            if container.is_multipart():
                inner = [
                    part
                    for part in container.get_payload()
                    if isinstance(part, email.message.Message)
                ]
                found += [
                    _content_of(part)
                    for part in inner
                    if _name_of(part) == filename and not part.is_multipart()
                ]
                container.set_payload(
                    [part for part in inner if _name_of(part) != filename or part.is_multipart()]
                )
        return found

    def attach(self, kind: kinds.Kind, content: bytes, filename: str) -> None:
        """Add a part after all others."""
        if not self._message.is_multipart():
            outer = email.mime.multipart.MIMEMultipart(boundary=_BOUNDARY)
            outer.attach(self._message)
            del self._message['MIME-Version']
            self._message = outer
        self._attach(kind, content).add_header(
            'Content-Disposition', 'attachment', filename=filename
        )

    def as_bytes(self) -> bytes:
        """Return the message; no header is folded in another way,
        as cloud-init does not unfold them all.

        :raises MessageUnreadable: a part of it is a multipart without parts, of bytes that could
        not be written as they were; or a header cannot be.
        """
        out = io.BytesIO()
        policy = email.policy.compat32.clone(max_line_length=0, linesep=self._line_end)
        generator = email.generator.BytesGenerator(out, mangle_from_=False, policy=policy)
        try:
            generator.flatten(self._message)
        except UnicodeError as error:
            raise MessageUnreadable(
                'one of its parts is a MIME multipart, and has no parts'
            ) from error
        except email.errors.MessageError as error:  # of a Python with the check, as Debian's 3.11
            raise MessageUnreadable('one of its headers cannot be written as it is') from error
        return out.getvalue()

    def _attach(self, kind: kinds.Kind, content: bytes) -> email.message.Message:
        part = email.message.Message()
        part['Content-Type'] = f'{kind}; charset="utf-8"'
        _put(part, content)
        self._message.attach(part)
        return part

    def _leaves(self) -> Iterator[email.message.Message]:
        return (part for part in self._message.walk() if not part.is_multipart())

    def _would_change(self, leaf: email.message.Message) -> bool:
        """Return True where the part has ends of lines that are not the message's:
        written again, they would be.
        """
        text = leaf.get_payload()
        if str(leaf.get(_ENCODING, '')).lower() in _ENCODED or not isinstance(text, str):
            return False
        return any(end != self._line_end for end in re.findall(r'\r\n|\r|\n', text))


def _name_of(part: email.message.Message) -> str | None:
    try:
        return part.get_filename()
    except (TypeError, ValueError, LookupError) as error:  # of a name in pieces that do not fit
        raise MessageUnreadable('the name of one of its parts cannot be read') from error


def _require_parts(message: email.message.Message) -> None:
    """Refuse too many parts and levels; not by `walk`, which needs a call for each level."""
    waiting, seen = [(message, 1)], 0
    while waiting:
        part, level = waiting.pop()
        seen += 1
        if level > limits.MOST_LEVELS or seen > limits.MOST_PARTS:
            raise limits.BeyondLimits(
                f'it has more than {limits.MOST_PARTS} parts, or parts more than '
                f'{limits.MOST_LEVELS} levels deep'
            )
        payload = part.get_payload()
        if isinstance(payload, list):
            waiting.extend(
                (each, level + 1) for each in payload if isinstance(each, email.message.Message)
            )


def _content_of(leaf: email.message.Message) -> bytes:
    content = leaf.get_payload(decode=True)
    return content if isinstance(content, bytes) else b''


def _put(leaf: email.message.Message, content: bytes) -> None:
    """Set a part's content, as text where that is shorter and safe: user data is bounded."""
    del leaf[_ENCODING]
    if (
        content.isascii()
        and b'\r' not in content
        and b'\0' not in content
        and b'\n--' not in b'\n' + content
    ):
        leaf[_ENCODING] = '7bit'
        leaf.set_payload(content.decode())
        return
    leaf[_ENCODING] = 'base64'
    text = base64.b64encode(content).decode()
    lines = [text[start : start + _BASE64_LINE] for start in range(0, len(text), _BASE64_LINE)]
    leaf.set_payload('\n'.join(lines) + '\n')

# SPDX-License-Identifier: Apache-2.0
"""One entry of `write_files` in a guest's user data: its owner, and how it is changed."""

import json
import posixpath
from collections.abc import Callable
from typing import Any

from trove_upgrade.domain import secret_files
from trove_upgrade.domain.cloud_init import write_files
from trove_upgrade.taskmanager import guest_info
from trove_upgrade.taskmanager.agent_options import GUEST_CONFIG_NAME


def content_of(entry: dict[str, Any]) -> bytes:
    """Return the content of an entry of an archive; empty where it holds no text."""
    content = entry.get('content')
    return (
        content.encode('utf-8', 'replace')
        if isinstance(content, str)
        else content
        if isinstance(content, bytes)
        else b''
    )


def is_guest_config(entry: dict[str, Any]) -> bool:
    """Return whether it is the configuration of Trove's agent."""
    return posixpath.basename(path_of(entry)) == GUEST_CONFIG_NAME


def is_guest_info(entry: dict[str, Any]) -> bool:
    """Return whether it is Trove's guest_info.conf."""
    return guest_info.is_guest_info(path_of(entry), text_or_nothing(entry))


def path_of(entry: dict[str, Any]) -> str:
    """Return its path as cloud-init takes it: absolute, without dots and doubled slashes."""
    path = write_files.path_of(entry)
    return posixpath.normpath(f'/{path}').replace('//', '/') if path else ''


def text_or_nothing(entry: dict[str, Any]) -> str:
    """Return its content; empty where that cannot be read."""
    try:
        return write_files.text_of(entry)
    except write_files.ContentUnreadable:
        return ''


def private(entry: dict[str, Any]) -> dict[str, Any]:
    """Return it as its owner's alone where it is Trove's or holds an agent's account.

    A tenant reads what the database server's user can read.
    """
    if (
        secret_files.is_troves(path_of(entry))
        or is_guest_config(entry)
        or is_guest_info(entry)
        or secret_files.holds_account(text_or_nothing(entry))
    ):
        return write_files.private(entry)
    return entry


def changed(entry: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """Return it with `change` made to its content.

    :raises guest_info.NotChanged: its content is elsewhere, or cannot be read or changed."""
    path = entry.get('path')
    if write_files.is_fetched(entry):
        raise guest_info.NotChanged(f'its {path} comes from an address and cannot be changed')
    try:
        former = write_files.text_of(entry)
        new = change(former)
    except ValueError as error:
        raise guest_info.NotChanged(f'its {path} cannot be read: {error}') from error
    return entry if new == former else write_files.with_text(entry, new)


def with_bridge(text: str) -> str:
    """Give Docker its bridge back in the text of its daemon.json.

    With `none` nothing reaches the database of a server with one NIC.
    """
    settings = json.loads(text)
    if not isinstance(settings, dict) or settings.get('bridge') != 'none':
        return text
    return json.dumps(
        {
            name: value
            for name, value in settings.items()
            if name not in {'bridge', 'ip-forward', 'iptables'}
        }
    )


def require_unnamed(path: str, kind: object, text: str) -> None:
    """Check a part that cannot be changed.

    A former key that came to the next root disk would leave its guest mute.

    :raises guest_info.NotChanged: it names the file.
    """
    if posixpath.basename(path) in text:
        raise guest_info.NotChanged(
            f'its part or list of commands of type {kind} names {path}, '
            'and it cannot be changed there'
        )

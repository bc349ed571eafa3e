# SPDX-License-Identifier: Apache-2.0
"""guest_info.conf, by which Trove's agent learns which instance and which
datastore version it serves.

The file is found by its name, or by what Trove writes into it: an operator may have given it
another name (`[DEFAULT] guest_info`).

Source: trove/instance/models.py, get_injected_files (Trove 26).
"""

import functools
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from oslo_config import iniparser

NAME = 'guest_info'

#: Settings that an older Trove did not write yet: they are added.  The others are
#: changed only where they are.
_ADDED = frozenset({'datastore_registry_ext', 'replication_strategy', 'ssl_mode'})
#: Both stand in Trove's file and in no other one.
_TROVES = tuple(re.compile(rf'(?m)^{name}[ \t]*[=:]') for name in ('guest_id', 'datastore_manager'))
#: A file of another name that gives the version a value and names guest_info would write it there.
_VERSION_GIVEN = re.compile(r'datastore_version[ \t]*[=:][ \t]*["\']?\d')

#: Commands that only look at a file, or change its owner or mode.
_LOOKS = re.compile(
    r'\s*(?:#|\[|(?:if|elif|while|until|test|chmod|chown|chgrp|cat|grep|head|tail|ls|stat)\b)'
)
#: What writes a file, wherever in a line it stands.
_WRITES = re.compile(
    rf'>\s*["\']?[^\s>]*{NAME}|\b(?:tee|cp|mv|install|ln|dd|sed|awk|perl|python\d?|crudini|rm)\b'
)


class NotChanged(ValueError):
    """The file would keep a value of the former version."""


def is_guest_info(path: str, text: str) -> bool:
    """Tell whether a file with this path and text is guest_info.conf."""
    return NAME in path or all(name.search(text) for name in _TROVES)


def changed(text: str, settings: Mapping[str, str]) -> str:
    """Return the text with the settings of the target; names and order are Trove's.

    :raises NotChanged: a setting is written in a way that keeps its former value.
    """
    missing: list[str] = []
    for name, value in settings.items():
        text, found = re.subn(
            rf'(?m)^([ \t]*{name}[ \t]*[=:][ \t]*)[^\r\n]*',
            functools.partial(_with_value, value),
            text,
        )
        if not found and name in _ADDED:
            missing.append(f'{name}={value}\n')
    header = re.search(r'(?m)^[ \t]*\[DEFAULT\][ \t]*(?:\r?\n|\Z)', text)
    if missing and header is not None:
        before = text[: header.end()]
        text = (
            f'{before}{"" if before.endswith(chr(10)) else chr(10)}'
            f'{"".join(missing)}{text[header.end() :]}'
        )
    _require(text, settings)
    return text


def gives_version(text: str) -> bool:
    """Tell whether a text that is no guest_info.conf itself writes a version into one."""
    return NAME in text and _VERSION_GIVEN.search(text) is not None


def is_written_by(script: str) -> bool:
    """Tell whether a script could write guest_info.conf: a line names it and
    does more than look at it.
    """
    lines = (line for line in script.splitlines() if NAME in line)
    return any(_LOOKS.match(line) is None or _WRITES.search(line) is not None for line in lines)


def is_written_by_commands(commands: Any) -> bool:
    """Tell the same of `runcmd` and `bootcmd`: lists of texts or of words."""
    if isinstance(commands, str):
        return is_written_by(commands)
    if not isinstance(commands, Sequence):
        return False
    return any(is_written_by(_line_of(command)) for command in commands)


def _line_of(command: Any) -> str:
    if not isinstance(command, Sequence) or isinstance(command, str):
        return str(command)
    words = [str(word) for word in command]
    in_shell = (
        len(words) > 2 and words[0].rpartition('/')[2] in {'sh', 'bash'} and words[1].endswith('c')
    )
    return words[2] if in_shell else ' '.join(words)


def _with_value(value: str, found: re.Match[str]) -> str:
    return found[1] + value


def _require(text: str, settings: Mapping[str, str]) -> None:
    """Refuse a text that keeps a former value, as the agent reads it: the last value of a name
    counts, and a value may go on in further lines.
    """
    reader = _Reader()
    try:
        reader.parse(io.StringIO(text, newline=None))
    except iniparser.ParseError:
        kept = [name for name in settings if re.search(rf'\b{name}\b', text)]
    else:
        kept = [name for name, value in settings.items() if reader.values.get(name, value) != value]
    if kept:
        raise NotChanged(f'{", ".join(kept)} would keep a former value there')


class _Reader(iniparser.BaseParser):
    """Collects name -> value; a value of several lines keeps their ends."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def assignment(self, key: str, value: list[str]) -> None:
        """Keep it; a later one of the same name takes its place."""
        self.values[key] = '\n'.join(value)

    def new_section(self, section: str) -> None:
        """Trove writes one section; a name counts wherever it stands."""

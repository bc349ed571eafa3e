# SPDX-License-Identifier: Apache-2.0
"""Options of Trove's agent that belong to one server, read from the files
that its user data writes.

Trove's agent gives the database's container a user by number. The container and its data keep the
number of the day on which the instance was created. With another number in its configuration the
agent would give `/etc/mysql` and the directory of the socket to that one at the next restart, and
the server could not start.

Source: trove/guestagent/datastore/mysql_common/service.py, start_db and restart;
trove/cmd/guest.py (Trove 26).
"""

import dataclasses
import io
import posixpath
from collections.abc import Iterable, Mapping

from oslo_config import iniparser

#: How Trove names the agent's configuration, beside guest_info.conf.
GUEST_CONFIG_NAME = 'trove-guestagent.conf'

_UID, _GID = 'database_service_uid', 'database_service_gid'
#: Trove's own.  Source: trove/common/cfg.py (Trove 26).
_DEFAULT_UID = '1001'

#: (section, name) -> the last value.
Values = dict[tuple[str, str], str]


@dataclasses.dataclass(frozen=True)
class ServiceUser:
    """Numbers of the user and the group that the database's container runs as."""

    uid: str
    gid: str


def read(texts: Iterable[str]) -> Values:
    """Return the options of files in the order in which they are read;
    a file that cannot be read ends there.
    """
    reader = _Reader()
    for text in texts:
        reader.section = 'DEFAULT'
        try:
            reader.parse(io.StringIO(text, newline=None))
        except iniparser.ParseError:
            continue
    return reader.values


def configuration(
    files: Mapping[str, bytes], guest_config: str | None = None, without: str = ''
) -> dict[str, str]:
    """Return name -> text of the files that the agents read, in their order;
    `files` has path -> content of all.

    They are those in the directory of trove-guestagent.conf; empty without one.  `guest_config`
    takes its place, and the file `without` counts as missing.
    """
    directory = next((posixpath.dirname(path) for path in files if _is_guest_config(path)), None)
    beside = {
        posixpath.basename(path): content.decode(errors='replace')
        for path, content in files.items()
        if posixpath.dirname(path) == directory and path.endswith('.conf') and path != without
    }
    if guest_config is not None:
        beside[GUEST_CONFIG_NAME] = guest_config
    return dict(sorted(beside.items()))


def service_user(values: Values, manager: str) -> ServiceUser:
    """Return the numbers as Trove's agent chooses them."""
    uid = values.get((manager, _UID)) or values.get(('DEFAULT', _UID)) or _DEFAULT_UID
    return ServiceUser(uid, values.get((manager, _GID)) or uid)


def kept_for_server(
    files: Mapping[str, bytes], guest_config: str | None, manager: str, marker_path: str
) -> str:
    """Return the section that keeps the server's numbers where its next configuration has others;
    '' where none is needed.

    `files` are those of the former user data.  Without a configuration among them nothing
    is known of the numbers.
    """
    if not any(_is_guest_config(path) for path in files):
        return ''
    former = service_user(read(configuration(files).values()), manager)
    if former == service_user(
        read(configuration(files, guest_config, marker_path).values()), manager
    ):
        return ''
    return f'[{manager}]\n{_UID} = {former.uid}\n{_GID} = {former.gid}\n'


def _is_guest_config(path: str) -> bool:
    return posixpath.basename(path) == GUEST_CONFIG_NAME


class _Reader(iniparser.BaseParser):
    """Collects options of several files."""

    def __init__(self) -> None:
        self.section = 'DEFAULT'
        self.values: Values = {}

    def assignment(self, key: str, value: list[str]) -> None:
        """Keep it; a later one of the same name takes its place."""
        self.values[self.section, key] = '\n'.join(value)

    def new_section(self, section: str) -> None:
        """Options from here on belong to it."""
        self.section = section

# SPDX-License-Identifier: Apache-2.0
"""What a test knows of a guest with two agents, asked in the guest itself: nothing here asks the
product.
"""

import configparser
import dataclasses
import json

from lab.trove import database

_VOLUME = """
findmnt -n -o SOURCE,UUID /var/lib/mysql
tune2fs -l /dev/vdb | sed -n 's/^Filesystem created: *//p'
stat -c '%u:%g' /var/lib/mysql
find /var/lib/mysql/data -printf '%U:%G\\n' | sort -u | tr '\\n' ' '
echo
grep -c /var/lib/mysql /etc/fstab
"""


@dataclasses.dataclass(frozen=True)
class Volume:
    """Who has mounted what, and whose it is."""

    source: str
    uuid: str
    created: str  #: when its file system was made: another time is another file system
    top_owner: str
    data_owners: str
    lines_in_fstab: int


@dataclasses.dataclass(frozen=True)
class Container:
    """The database's container, as the engine has it."""

    image: str
    restart_policy: str
    privileged: bool
    binds: tuple[str, ...]
    ports: tuple[str, ...]
    environment: tuple[str, ...]  #: names alone


def volume(guest):
    """What stands at the mount point."""
    mounted, created, top, owners, count = guest.exec(['sh', '-ec', _VOLUME]).output.splitlines()
    source, uuid = mounted.split()
    return Volume(source, uuid, created, top, owners.strip(), int(count))


def container(guest):
    """The one that serves.  The engine tells of an empty list as null."""
    found = json.loads(guest.exec(['docker', 'inspect', database.CONTAINER]).output)[0]
    settings = found['HostConfig']
    return Container(
        found['Config']['Image'],
        settings['RestartPolicy']['Name'],
        settings['Privileged'],
        tuple(sorted(settings['Binds'] or ())),
        tuple(sorted(settings['PortBindings'] or ())),
        tuple(sorted(entry.partition('=')[0] for entry in found['Config']['Env'] or ())),
    )


def containers(guest):
    """The names of all, also of those that have ended."""
    return set(guest.exec(['docker', 'ps', '-a', '--format', '{{.Names}}']).output.split())


def runs_troves_agent(guest):
    """Whether the service of Trove's own agent runs."""
    return guest.exec(['/etc/init.d/trove-guestagent', 'status'], check=False).returncode == 0


def option(files, path, section, name):
    """One option of a file that user data brings; None where it is not there."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read_string(files[path])
    return parser.get(section, name, fallback=None)

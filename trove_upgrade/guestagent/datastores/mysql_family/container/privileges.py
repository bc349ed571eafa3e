# SPDX-License-Identifier: Apache-2.0
"""The database container's view of the guest, and its rights: as Trove's agent makes it, whatever
the former one had.

Source: trove/guestagent/datastore/mysql_common/service.py, start_db, and
trove/guestagent/utils/docker.py, start_container (Trove 26).
"""

import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from trove_upgrade.guestagent.datastores.mysql_family.container import definition
from trove_upgrade.guestagent.datastores.mysql_family.container.names import SOCKETS_INSIDE
from trove_upgrade.guestagent.machine.containers import definitions as engine_definitions

#: Of the former container: which ports lead to it, and what only limits it.
_KEPT = ('PortBindings', 'RestartPolicy', 'Ulimits', 'ShmSize', 'CapDrop', 'Memory', 'NanoCpus')
#: The entrypoints of the family read these; another one, such as LD_PRELOAD, could only be for
#: other programs.
_VARIABLE = re.compile(r'(?:MYSQL|MARIADB)_[A-Z0-9_]+|TZ|LANG|LC_[A-Z]+')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Privileges:
    """Privileges of the database's container in one guest, and what is mounted into it."""

    volume: pathlib.Path  #: /var/lib/mysql
    mysql: pathlib.Path  #: /etc/mysql
    sockets: pathlib.Path  #: the host's directory for the server's socket
    privileged: bool  #: whether Trove's agent makes it so

    @property
    def binds(self) -> Sequence[str]:
        """Directories of the host; the volume has one path on both sides."""
        return (
            f'{self.mysql}:/etc/mysql:rw',
            f'{self.sockets}:{SOCKETS_INSIDE}:rw',
            f'{self.volume}:{self.volume}:rw',
        )

    def given(self, kept: Mapping[str, Any]) -> dict[str, Any]:
        """Return a definition that was kept, with these in the place of its own.

        A container of root has no privileges, nor one that leaves the user to its image: that could
        be root.
        """
        config, host = dict(kept.get('Config') or {}), kept.get('HostConfig') or {}
        variables = engine_definitions.environment_of(config.get('Env'))
        config['Env'] = [
            f'{name}={value}' for name, value in variables.items() if _VARIABLE.fullmatch(name)
        ]
        network, user = definition.network(kept), definition.user(kept)
        return {
            'Config': config,
            'HostConfig': {
                **{name: host[name] for name in _KEPT if host.get(name)},
                'Binds': list(self.binds),
                'IpcMode': 'host',
                'NetworkMode': network
                if network in definition.USUAL_NETWORKS
                else definition.BRIDGE,
                'Privileged': self.privileged and user is not None and user[0] > 0,
            },
        }

# SPDX-License-Identifier: Apache-2.0
"""The deployment of real Trove beside the cloud, and the record of it that other processes read."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping

from lab.settings import Ports, Settings

NAME = 'trove'
SERVERS = ('uwsgi', 'gunicorn', 'eventlet')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Deployment:
    """The way that Trove is installed here.  Plain data: it travels through a file to other
    processes.
    """

    server: str = 'uwsgi'  #: of SERVERS
    with_filter: bool = False  #: ours in its pipeline, and our package importable in its processes
    #: [trove_upgrade] of trove.conf
    options: Mapping[str, object] = dataclasses.field(default_factory=dict)
    #: [trove_upgrade] of the guests' configuration
    guest_options: Mapping[str, object] = dataclasses.field(default_factory=dict)
    #: more for trove.conf, over the lab's own
    sections: Mapping[str, Mapping[str, object]] = dataclasses.field(default_factory=dict)
    broker: str = ''  #: host:port at which guests reach the broker
    registry: str = ''  #: host:port at which guests reach the registry of container images
    database: str = NAME
    port: int = Ports().database  #: the catalog's, or another one where that is taken
    processes: int = 2
    threads: int = 4

    def __post_init__(self) -> None:
        if self.server not in SERVERS:
            raise ValueError(
                f'Trove is served by one of {", ".join(SERVERS)}, not by {self.server!r}'
            )

    def save(self, settings: Settings) -> None:
        """Remember it: from now on Trove belongs to the running cloud."""
        _record(settings).write_text(json.dumps(dataclasses.asdict(self)))


def forget(settings: Settings) -> None:
    """The cloud is one without Trove again."""
    _record(settings).unlink(missing_ok=True)


def load(settings: Settings) -> Deployment | None:
    """The running cloud's, None where Trove was not asked for."""
    try:
        return Deployment(**json.loads(_record(settings).read_text()))
    except FileNotFoundError:
        return None


def _record(settings: Settings) -> pathlib.Path:
    return settings.layout.run_dir / 'trove.json'

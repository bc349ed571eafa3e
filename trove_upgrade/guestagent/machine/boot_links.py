# SPDX-License-Identifier: Apache-2.0
"""Links below /etc that start a service at boot: of systemd, and of sysv's runlevels.

They are the whole of what `systemctl enable`, `disable` and `mask`, and `update-rc.d` keep of a
service. These programs bring a service to one of a few states; the links, put back one by one,
bring it to the very state that it had. Source: systemctl(1), update-rc.d(8).
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from trove_upgrade.guestagent.machine import durable, listing

#: Below the directory of systemd's units: what a target or another unit pulls in.
_PULLED_IN = ('*.wants', '*.requires', '*.upholds')


@dataclasses.dataclass(frozen=True)
class BootLinks:
    """All links of one service."""

    targets: Mapping[str, str]  #: of each link, by its path below /etc

    def to_json(self) -> dict[str, str]:
        """Return what `from_json` reads."""
        return dict(self.targets)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what `to_json` has returned."""
        return cls({str(path): str(target) for path, target in document.items()})


def find(etc: pathlib.Path, name: str) -> BootLinks:
    """Return the links of service `name` as they are now; a unit's other names count."""
    found = (*_of_systemd(etc, f'{name}.service'), *_of_sysv(etc, name))
    return BootLinks({str(path.relative_to(etc)): target for path, target in found})


def put_back(etc: pathlib.Path, name: str, links: BootLinks) -> None:
    """Make the links of service `name` those that they were.  Durable; safe to repeat."""
    now = find(etc, name)
    changed = set()
    for path in now.targets.keys() - links.targets.keys():
        (etc / path).unlink(missing_ok=True)
        changed.add((etc / path).parent)
    for path, target in links.targets.items():
        if now.targets.get(path) != target:
            _link(etc / path, target)
            changed.add((etc / path).parent)
    durable.sync_directories(changed)


def _link(path: pathlib.Path, target: str) -> None:
    """Put a link in the place of whatever link or file is there: systemd removes a directory of
    links with the last of them.
    """
    durable.make_directory(path.parent)
    beside = path.with_name(f'.{path.name}.new')
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    beside.replace(path)


def _of_systemd(etc: pathlib.Path, unit: str) -> Iterator[tuple[pathlib.Path, str]]:
    units = etc / 'systemd' / 'system'
    pulled_in = [place for pattern in _PULLED_IN for place in listing.matching(units, pattern)]
    for directory in (units, *pulled_in):
        for path, target in _links(listing.matching(directory)):
            if unit in {path.name, pathlib.PurePath(target).name}:
                yield path, target


def _of_sysv(etc: pathlib.Path, name: str) -> Iterator[tuple[pathlib.Path, str]]:
    for directory in listing.matching(etc, 'rc?.d'):
        yield from _links(listing.matching(directory, f'[SK][0-9][0-9]{name}'))


def _links(paths: Iterable[pathlib.Path]) -> Iterator[tuple[pathlib.Path, str]]:
    for path in paths:
        target = None
        with contextlib.suppress(OSError):  # no link, or gone since
            target = str(path.readlink())
        if target is not None:
            yield path, target

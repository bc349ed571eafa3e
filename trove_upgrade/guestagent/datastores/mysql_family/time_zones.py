# SPDX-License-Identifier: Apache-2.0
"""The time zone that a server has from its root disk: its rules, and not the offset that it has
today.
"""

import datetime
import io
import os
import pathlib
import re
import stat
import zoneinfo

from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores.mysql_family import checks

_NAMES = frozenset({'UTC', 'GMT', 'UCT', 'ZULU', 'UNIVERSAL', '+00:00'})
_OPTIONS = frozenset({'default-time-zone', 'time-zone'})
_ZONES = pathlib.PurePosixPath('usr/share/zoneinfo')
_BYTES = 1 << 16
#: A rule without a file, as POSIX has it: a name, and how far it is from UTC.  Source: tzset(3).
_POSIX = re.compile(r'(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]+>)[+-]?0*(?::?0*)*')
_SHOWN = 100
_YEARS = range(1970, 2038)


def time_zone(probe: checks.Probe) -> CheckResult:
    """The zone of a root disk goes with it: what the server calls SYSTEM is the new image's
    afterwards, mostly UTC.
    """
    name = 'time_zone'
    found = dict(
        probe.session.rows(
            "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('time_zone', 'system_time_zone')"
        )
    )
    zone, of_system = str(found.get('time_zone', '')), str(found.get('system_time_zone', ''))
    configured = _configured(probe)
    if configured:
        return CheckResult.ok(name, f'The time zone comes from the configuration: {configured}.')
    if probe.process is None and zone.upper() != 'SYSTEM':
        return CheckResult.ok(name, f'The time zone does not come from the root disk: {zone}.')
    local = _of_root_disk(probe)
    if local is None and of_system.upper() in _NAMES:
        return CheckResult.ok(name, f'The time zone of the root disk is universal: {of_system}.')
    return CheckResult.warning(
        name,
        (
            'Local times may be others after the upgrade: the server takes its time zone, '
            f'{local or of_system}, from the root disk, and the new one has its own. Stored values '
            'stay as they are; NOW(), events and what is shown of a TIMESTAMP follow the zone. '
            'Set default_time_zone in the configuration.'
        ),
        'TIME_ZONE_OF_SYSTEM',
    )


def _configured(probe: checks.Probe) -> str | None:
    """Return what a file of options gives the server; a value that was set while it runs is gone
    after any restart.
    """
    values = [
        option.value for option in probe.configuration.of_servers() if option.bare_name in _OPTIONS
    ]
    last = values[-1] if values else None
    return last if last and last.upper() != 'SYSTEM' else None


def _of_root_disk(probe: checks.Probe) -> str | None:
    """Return the zone of the server's environment, else that of the system; None where it is
    universal all the year, or not known.
    """
    if probe.process is None:
        return None
    root, named = probe.context.etc.parent, probe.process.environment.get('TZ')
    if named is None:
        place = probe.context.etc / 'localtime'
        leads_to = str(place.readlink() if place.is_symlink() else place)
        return None if _is_universal(place) else leads_to.rpartition('zoneinfo/')[2]
    text = named.removeprefix(':')
    place = pathlib.Path(text) if text.startswith('/') else root / _ZONES / text
    has_file = bool(text) and os.path.isfile(place)  # noqa: PTH113 - this one raises nothing for a name that is too long
    # Without a file it is a rule of its own, or a name that the C library does not find and takes
    # UTC for.
    is_rule = re.search(r'\d', text) is not None and _POSIX.fullmatch(text) is None
    is_universal = _is_universal(place) if has_file else not is_rule
    return None if is_universal else f'{text[:_SHOWN]} (TZ in its environment)'


def _is_universal(place: pathlib.Path) -> bool:
    """Return whether the zone has never been apart from UTC since 1970.  Where no file can be used,
    the C library takes UTC: tzset(3).
    """
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, 'rb') as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                return True
            zone = zoneinfo.ZoneInfo.from_file(io.BytesIO(stream.read(_BYTES)))
    except (OSError, ValueError, EOFError, IndexError, TypeError):
        return True
    moments = (
        datetime.datetime(year, month, 15, tzinfo=datetime.UTC)
        for year in _YEARS
        for month in (1, 4, 7, 10)
    )
    return not any(moment.astimezone(zone).utcoffset() for moment in moments)

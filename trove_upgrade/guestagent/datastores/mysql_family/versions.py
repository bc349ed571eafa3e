# SPDX-License-Identifier: Apache-2.0
"""Server versions as far as a driver compares them, and the directions in which data may go."""

from trove_upgrade.domain import versions
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.upgrade_checks import CheckResult

NAME = 'target'
#: MySQL's series whose releases read each other's data both ways.  In 8.0 and in innovation
#: releases a newer one may change the data dictionary.  Source: MySQL 9.7 Reference Manual,
#: "Downgrading MySQL".
_MYSQL_BOTH_WAYS = frozenset({(5, 5), (5, 6), (5, 7), (8, 4), (9, 7)})


def is_mariadb(version: str) -> bool:
    """Return whether a server that gives `version` is MariaDB; MySQL's versions name no product."""
    return 'mariadb' in version.lower()


def series(version: str) -> tuple[int, ...]:
    """The first two numbers of e.g. 10.11.14-MariaDB-0+deb12u2; empty where there are none."""
    return release(version)[:2]


def release(version: str) -> tuple[int, ...]:
    """All of its numbers, two or more, e.g. (10, 11, 14); empty where there are none."""
    found = versions.read_number(version) or ()
    return found if len(found) > 1 else ()


def check_number(image: str, found: str, expected: str) -> CheckResult:
    """Compare the server of a container image with the number that the target's facts name: 11.8 is
    satisfied by 11.8.6, 11.8.6 by nothing else, and no number by any.
    """
    if expected and not versions.is_same(expected, found):
        return CheckResult.refused(
            NAME,
            (
                f'Container image {image} has another server than expected: {found}, expected '
                f'{expected}. Correct the container image or the number of the datastore version.'
            ),
            Code.SERVER_VERSION_DIFFERS,
        )
    return CheckResult.ok(NAME, f'The server of container image {image} is {found}.')


def check_target(running: str, target: str) -> CheckResult:
    """Compare releases: may a server of `target` be given the data of one that is `running`?

    `target` may name a series alone; then its releases count once the new server is there to be
    asked.
    """
    now, then = release(running), release(target)
    if not then:
        return CheckResult.warning(
            NAME,
            (
                f'The versions cannot be compared: the server is {running} and the target names '
                'none. Register the target version with its facts.'
            ),
            Code.TARGET_FACTS_MISSING,
        )
    if then[:2] < now[:2]:
        return CheckResult.refused(
            NAME,
            (
                f'The server cannot be upgraded: it is {running}, which is newer than the target '
                f'{target}. Choose a target of the same or a newer series.'
            ),
            'DOWNGRADE',
        )
    if len(then) < len(now) or then >= now[: len(then)]:
        return CheckResult.ok(NAME, f'The server is {running}, the target {target}.')
    return _older_release(running, target)


def _older_release(running: str, target: str) -> CheckResult:
    """Judge a target of the same series."""
    now = series(running)
    if is_mariadb(running) or now in _MYSQL_BOTH_WAYS:
        return CheckResult.warning(
            NAME,
            (
                f'The target is an older release of the same series: the server is {running}, the '
                f'target {target}. Its data can be read, and errors that were mended since are '
                'back. Choose a newer image unless this is meant.'
            ),
            'OLDER_RELEASE',
        )
    return CheckResult.refused(
        NAME,
        (
            f'The server cannot be upgraded: it is {running}, which is newer than the target '
            f'{target}, and releases of MySQL {now[0]}.{now[1]} do not read the data of newer '
            'ones. Choose an image of the same or a newer release.'
        ),
        'DOWNGRADE',
    )

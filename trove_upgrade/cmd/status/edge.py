# SPDX-License-Identifier: Apache-2.0
"""The edge of a check: whatever it meets ends as its own row, and the other checks still run."""

import contextlib
import functools
import pathlib
from collections.abc import Callable
from typing import TypeVar

from oslo_config import cfg
from oslo_upgradecheck import upgradecheck
from sqlalchemy import exc as sa_exc
from sqlalchemy import make_url

from trove_upgrade import terminal
from trove_upgrade.cmd.status.results import failure
from trove_upgrade.db import faults

C = TypeVar('C')
Check = Callable[[C], upgradecheck.Result]

#: Options that hold a password, or a URL with one.
_PASSWORDS = (
    ('service_credentials', 'password'),
    ('DEFAULT', 'nova_proxy_admin_pass'),
    ('keystone_authtoken', 'password'),
)
_URLS = (
    ('database', 'connection'),
    ('DEFAULT', 'transport_url'),
    ('trove_upgrade', 'guest_transport_url'),
    ('trove_upgrade', 'nova_notifications_transport_url'),
    ('oslo_messaging_notifications', 'transport_url'),
)
_HIDDEN = '***'
#: Shorter ones would cut words to pieces; so short a password is a word anyway.
_LEAST = 4


def guarded(name: str, check: Check[C]) -> tuple[str, Check[C]]:
    """`check` under its name, as oslo.upgradecheck takes it: an exception becomes a failure that
    holds no secret of the configuration.
    """

    @functools.wraps(check)
    def run(checks: C) -> upgradecheck.Result:
        conf: cfg.ConfigOpts = getattr(checks, 'conf')  # noqa: B009 - of any class with a configuration
        try:
            found = check(checks)
        except Exception as error:  # noqa: BLE001 - the edge: libraries raise plain exceptions, and the other checks are still to run
            found = failure(_text(name, error, conf))
        return upgradecheck.Result(found.code, _one_line(found.details))

    return name, run


def _text(name: str, error: Exception, conf: cfg.ConfigOpts) -> str:
    """Our own errors hold no secret; in a library's text there may be anything."""
    known = faults.explain(error)
    if known is not None:
        return known.message
    if isinstance(error, OSError):
        return (
            f'The check "{name}" cannot be made: this host refused: '
            f'{without_secrets(str(error), conf)}. Look at the file or the address there.'
        )
    said = without_secrets(str(error).rstrip('.'), conf)
    return (
        f'The check "{name}" cannot be made: {type(error).__name__}: {said}. Look at the options '
        'that this check reads ("trove-upgrade-status" in the reference); report it as a bug '
        'where they are right.'
    )


def _one_line(text: str) -> str:
    return terminal.printable(' '.join(text.split()))


def without_secrets(text: str, conf: cfg.ConfigOpts) -> str:
    """`text` without the passwords that the configuration's files hold, as they stand there and as
    a library may have read them.
    """
    for secret in sorted(_secrets(conf), key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return text


def _secrets(conf: cfg.ConfigOpts) -> set[str]:
    raw = _raw(conf)
    found = {raw[key] for key in _PASSWORDS if key in raw}
    found |= {password for key in _URLS if key in raw for password in _passwords_of(raw[key])}
    # a part of a secret with `$` is taken for an option's name
    found |= {part for secret in set(found) if '$' in secret for part in secret.split('$')}
    return {secret for secret in found if len(secret) >= _LEAST}


def _raw(conf: cfg.ConfigOpts) -> dict[tuple[str, str], str]:
    """Sections and options of the files as text: a value with a fault cannot be asked of
    oslo.config.
    """
    found: dict[tuple[str, str], str] = {}
    section = 'DEFAULT'
    for path in _files(conf):
        try:
            lines = path.read_text(encoding='utf-8', errors='replace').splitlines()
        except OSError:
            continue  # oslo.config has read it, or reports that it cannot
        for line in lines:
            if line.startswith('['):
                section = line.strip().strip('[]')
            name, equals, value = line.partition('=')
            if equals:
                found[section, name.strip()] = value.strip().strip('"\'')
    return found


def _files(conf: cfg.ConfigOpts) -> list[pathlib.Path]:
    try:
        named = [pathlib.Path(name) for name in conf.config_file or []]
        return named + [
            file
            for folder in conf.config_dir or []
            for file in sorted(pathlib.Path(folder).glob('*.conf'))
        ]
    except cfg.Error:  # nothing was read
        return []


def _passwords_of(urls: str) -> set[str]:
    """A transport_url may name several hosts, each with a password of its own."""
    found = {
        part.rpartition('@')[0].rpartition(':')[2] for part in urls.partition('://')[2].split(',')
    }
    # raised for what is no URL: as it stands there is all there is
    with contextlib.suppress(sa_exc.ArgumentError, ValueError):
        found.add(str(make_url(urls).password or ''))  # decoded, too
    return found

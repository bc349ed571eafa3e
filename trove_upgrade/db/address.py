# SPDX-License-Identifier: Apache-2.0
"""`[database] connection`: a URL that may hold a password, which only the driver may see."""

import sqlalchemy as sa

from trove_upgrade.db import errors

#: Options of a URL's query that the drivers take a password from, or read one with.
_SECRET_OPTIONS = frozenset({'password', 'passwd', 'passphrase', 'sslpassword', 'ssl_key_password'})
_HIDDEN = '***'


def parse(connection: str, service: str) -> sa.URL:
    """Parse the database's URL.

    :raises DatabaseRefused: not a URL; the text is not repeated, as it may hold a password.
    """
    if _has_bare_at(connection):
        found = (
            'it holds more than one "@"; in a user name or a password, "@" is written as %40, '
            '"/" as %2F, ":" as %3A and "?" as %3F'
        )
        raise errors.DatabaseRefused(service=service, found=found)
    try:
        return sa.make_url(connection)
    except (sa.exc.ArgumentError, ValueError) as error:
        # ValueError: of a port, which may be a part of the password
        raise errors.DatabaseRefused(service=service, found='it is not a database URL') from error


def _has_bare_at(connection: str) -> bool:
    """A password with '@' would be cut there, and its rest be taken, and shown, as the server's
    name.
    """
    scheme, _, rest = connection.partition('://')
    place, _, query = rest.partition('?')
    return not scheme.startswith('sqlite') and (
        place.count('@') > 1 or '@' in query.partition('=')[0]
    )


def without_secrets(text: str, connection: str | None) -> str:
    """A text of a driver or a library, without the passwords of the URL.

    They hardly ever repeat one, but an option of the URL that is misspelled is repeated whole.
    What is a word of the URL elsewhere, too, as a user's name, stays.
    """
    try:
        url = sa.make_url(connection or '')
    except (sa.exc.ArgumentError, ValueError):
        return text
    options = [(name, value) for name, values in url.normalized_query.items() for value in values]
    public = {
        url.username,
        url.host,
        url.database,
        *(value for name, value in options if name not in _SECRET_OPTIONS),
    }
    secrets = (
        {str(url.password or ''), *(value for name, value in options if name in _SECRET_OPTIONS)}
        - public
        - {''}
    )
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return text

# SPDX-License-Identifier: Apache-2.0
"""Readings that a fingerprint is made of, but for the rows of tables.  The checks make the same
ones before anything stops.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.codes import Code
from trove_upgrade.guestagent.datastores.mysql_family import (
    aspects,
    catalog,
    connection,
    definitions,
    foreign_servers,
    grants,
    structure,
)
from trove_upgrade.guestagent.datastores.mysql_family.accounts import Account
from trove_upgrade.guestagent.datastores.mysql_family.dialect import Dialect

#: The server has the account in its tables and does not know it: a host name while it resolves
#: none, or a row that was inserted by hand and never loaded.  Source: MariaDB Knowledge Base,
#: "MariaDB Error Codes", ER_NONEXISTING_GRANT, and "--skip-name-resolve".
_NOT_LOADED = 1141


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """Findings in one server: what a fingerprint is made of, but for the rows."""

    accounts: Sequence[Account]
    #: account's name -> GRANT statements; without accounts that the server has not loaded
    permissions: Mapping[str, Sequence[str]]
    objects: Mapping[str, str]  #: as a fingerprint has them
    settings: Mapping[str, str]
    tables: Sequence[catalog.Table]
    structures: Mapping[str, structure.Structure]  #: by the full name of the table


def read(session: connection.Session, dialect: Dialect) -> Reading:
    """Read all of it.

    :raises SessionError: the server gives no answer to a statement.
    """
    accounts = dialect.accounts(session)
    far = catalog.far_tables(session)
    objects = definitions.read(session, far)
    for account in accounts:
        objects[f'{aspects.ACCOUNT}:{account.name}'] = account.digest
        key, value = aspects.entry(aspects.ACCOUNT, account.name, account.aspects)
        objects[key] = value
    objects.update(foreign_servers.read(session))
    tables = catalog.tables(session, far)
    return Reading(
        accounts=accounts,
        permissions=_permissions(session, accounts),
        objects=objects,
        settings={str(name): str(value) for name, value in session.rows('SHOW GLOBAL VARIABLES')},
        tables=tables,
        structures=structure.read(session, tables, far),
    )


def unreadable(table: catalog.Table, found: str) -> exceptions.StepRefused:
    """Return the error of a table that cannot be read."""
    reason = (
        f'The fingerprint cannot be taken: table {table.full_name} cannot be read ({found}). '
        f'Repair or drop it and upgrade again.'
    )
    return exceptions.StepRefused(reason, Code.TABLE_UNREADABLE)


def _permissions(
    session: connection.Session, accounts: Sequence[Account]
) -> dict[str, Sequence[str]]:
    found: dict[str, Sequence[str]] = {}
    for account in accounts:
        try:
            rows = session.rows(f'SHOW GRANTS FOR {account.grantee}')
        except connection.SessionError as error:
            if error.number != _NOT_LOADED:
                raise
            continue
        found[account.name] = sorted(grants.without_password(str(row[0])) for row in rows)
    return found

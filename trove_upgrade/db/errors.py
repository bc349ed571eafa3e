# SPDX-License-Identifier: Apache-2.0
"""What only the database part can meet, in the same form as the domain's errors."""
from typing import Any

from trove_upgrade.domain import exceptions


class DatabaseRefused(exceptions.TroveUpgradeError):
    """The configured database is none that a service may use."""

    code = 'DATABASE_REFUSED'
    template = ('{service} cannot use the database of [database] connection: {found}. Set it to MariaDB or MySQL '
                '(mysql+pymysql://...) or PostgreSQL (postgresql+psycopg2://... or postgresql+psycopg://...).')


class SchemaError(exceptions.TroveUpgradeError):
    """A migration cannot be run."""

    code = 'SCHEMA_ERROR'
    template = 'The database schema cannot be {what}: {found}. {advice}'


class ConfigurationRulesInvalid(exceptions.TroveUpgradeError):
    """A file of validation rules or of facts is not of the documented form."""

    code = 'FILE_INVALID'
    template = 'File {path} cannot be loaded: {found}. {advice}'


class AlreadyRegistered(exceptions.TroveUpgradeError):
    """The server, or the id, belongs to an instance already."""

    code = 'ALREADY_REGISTERED'
    template = 'Server {server_id} cannot be registered: {found}. Look at the instance with "trove show {instance_id}".'


class SchemaFromTheFuture(exceptions.TroveUpgradeError):
    """A later release has upgraded this database."""

    code = 'SCHEMA_FROM_THE_FUTURE'
    template = ('The database schema cannot be {what}: revision {revision} in {version_table} is not of this release. Use the release that '
                'the database was last upgraded by, or a later one.')


class SchemaOutOfOrder(exceptions.TroveUpgradeError):
    """Another phase comes first; the exit code says which."""

    code = 'SCHEMA_OUT_OF_ORDER'
    template = '"db {asked}" cannot run: {found}. Run "trove-upgrade-manage db {next}" first.'

    def __init__(self, *, exit_code: int, **facts: Any) -> None:
        super().__init__(**facts)
        self.exit_code = exit_code


class DowngradeRefused(exceptions.TroveUpgradeError):
    """A schema never goes back."""

    code = 'DOWNGRADE_REFUSED'
    template = ('The database schema cannot be led back to {target}: a contract has removed what older releases wrote, and nothing could '
                'bring it back. Restore the backup that was made before the upgrade; before the contract, services of the release before '
                'simply run on the expanded schema.')


class RevisionUnknown(exceptions.TroveUpgradeError):
    """What was named is no revision and no release of ours."""

    code = 'REVISION_UNKNOWN'
    template = '"{name}" is no revision and no release that this program knows: {found}. Look them up with "trove-upgrade-manage db history".'

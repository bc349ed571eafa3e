# SPDX-License-Identifier: Apache-2.0
"""What only the database part can meet, in the same form as the domain's errors."""
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

# SPDX-License-Identifier: Apache-2.0
"""Errors of the database part alone, in the same form as the domain's errors."""

from typing import Any

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.codes import Code


class DatabaseRefused(exceptions.TroveUpgradeError):
    """The configured database is none that a service may use."""

    code = 'DATABASE_REFUSED'
    template = (
        '{service} cannot use the database of [database] connection: {found}. Set it to MariaDB '
        'or MySQL (mysql+pymysql://...) or PostgreSQL (postgresql+psycopg2://... or '
        'postgresql+psycopg://...).'
    )


class SchemaError(exceptions.TroveUpgradeError):
    """A migration cannot be run."""

    code = 'SCHEMA_ERROR'
    template = 'The database schema cannot be {what}: {found}. {advice}'


#: The command that makes our tables where none of them is, in the same words wherever it is named.
MAKE_TABLES = 'Run "trove-upgrade-manage db sync" (with --standalone where there is no Trove)'
#: The command where tables of an earlier release are.
EXPAND_TABLES = 'Run "trove-upgrade-manage db expand"; services of the release before go on working'
#: Where tables of Trove's are not there.
FIND_TROVES_TABLES = (
    "Look whether [database] connection names Trove's database; where there is no Trove, run "
    '"trove-upgrade-manage db sync --standalone"'
)


class SchemaMissing(exceptions.TroveUpgradeError):
    """Tables or columns that this release needs are not in the database."""

    code = 'SCHEMA_MISSING'
    template = (
        'This release cannot work with the database that [database] connection names: '
        '{found}. {advice}.'
    )


class DatabaseUnreachable(exceptions.TroveUpgradeError):
    """The server gives no answer, or lets no client in."""

    code = 'DATABASE_ERROR'
    template = (
        'The database that [database] connection names cannot be reached: {found}. Look whether '
        'its server runs, and at user, password, host and name of the database there.'
    )


class AccessRefused(DatabaseUnreachable):
    """The server answers, and refuses the user, the password or the database: waiting changes
    nothing.
    """


class StatementRefused(exceptions.TroveUpgradeError):
    """The server answers, and refuses what was asked."""

    code = 'DATABASE_ERROR'
    template = (
        'The database that [database] connection names refused a statement: {found}. What had '
        'been finished stays; try the same again when the cause is mended.'
    )


class TrovesDatabase(exceptions.TroveUpgradeError):
    """The configuration is one for running alone, and the database is a real Trove's."""

    code = 'CONFIGURED_ALONE'
    template = (
        '{service} cannot work with the database that [database] connection names: it is a '
        "real Trove's, and {found}. {advice}."
    )


class ConfigurationRulesInvalid(exceptions.TroveUpgradeError):
    """A file of validation rules or of facts is not of the documented form."""

    code = 'FILE_INVALID'
    template = 'File {path} cannot be loaded: {found}. {advice}'


class AlreadyRegistered(exceptions.TroveUpgradeError):
    """The server, or the id, belongs to an instance already."""

    code = 'ALREADY_REGISTERED'
    template = (
        'Server {server_id} cannot be registered: {found}. Look at the instance with '
        '"trove show {instance_id}".'
    )


class SchemaFromTheFuture(exceptions.TroveUpgradeError):
    """A later release has upgraded this database."""

    code = 'SCHEMA_FROM_THE_FUTURE'
    template = (
        'The database schema cannot be {what}: revision {revision} in {version_table} is not of '
        'this release. Use the release that the database was last upgraded by, or a later one.'
    )


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
    template = (
        'The database schema cannot be led back to {target}: a contract has removed what older '
        'releases wrote, and nothing could bring it back. Restore the backup that was made before '
        'the upgrade; before the contract, services of the release before simply run on the '
        'expanded schema.'
    )


class RevisionUnknown(exceptions.TroveUpgradeError):
    """A name is no revision and no release of ours."""

    code = 'REVISION_UNKNOWN'
    exit_code = 2
    template = (
        '"{name}" is no revision and no release that this program knows: {found}. Look '
        'them up with "trove-upgrade-manage db history".'
    )


class RevisionsContradict(exceptions.TroveUpgradeError):
    """A branch is at one revision."""

    code = 'REVISIONS_CONTRADICT'
    exit_code = 2
    template = (
        '"{name}" cannot be meant beside "{other}": both are of branch {branch}. Name one '
        'revision of each branch, or "heads".'
    )


class LeaseHeld(exceptions.TroveUpgradeError):
    """Another run is changing the schema."""

    code = 'SCHEMA_LEASE_HELD'
    exit_code = 7
    template = (
        'The database schema cannot be changed now: {holder} has been at it since {taken_at} and '
        'holds the lease until {until}, longer while it runs. Wait until that run has ended and '
        'try again; should its process have died, the lease is free at that time by itself.'
    )


class MigrationLeaseLost(exceptions.TroveUpgradeError):
    """One run may change the schema now, it is not this run: it stops before its next revision or
    batch.
    """

    code = 'SCHEMA_LEASE_LOST'
    exit_code = 7
    template = (
        'This run ({holder}) cannot go on changing the schema: {found}. What it had finished '
        'stays. Wait until no other run is at work and run the same command again: it carries on '
        'where this one ended.'
    )


class SchemaLocked(exceptions.TroveUpgradeError):
    """Tables were held by other transactions for as long as the run may wait."""

    code = 'SCHEMA_LOCKED'
    template = (
        '{what} cannot be run: in {seconds:.0f} s and {tries} tries it did not get its locks, as '
        'other transactions hold them. End the long ones (MariaDB and MySQL: '
        'information_schema.INNODB_TRX; PostgreSQL: pg_stat_activity) and run the same command '
        'again: it carries on where this one ended.'
    )


class RevisionNotRendered(exceptions.TroveUpgradeError):
    """A revision cannot be printed as SQL without a database."""

    code = 'REVISION_NOT_RENDERED'
    template = (
        'Revision {revision} cannot be printed as SQL for {dialect}: {found}. Name one of this '
        'release; a revision reads nothing from the database but through the ensure_* functions '
        'of trove_upgrade/db/migrations/ops.py, which know when there is none.'
    )


class SchemaNotRecognized(exceptions.TroveUpgradeError):
    """Our tables are there, without a word of which version they are."""

    code = 'SCHEMA_NOT_RECOGNIZED'
    template = (
        'The tables of trove-upgrade in this database have no version, and {found}. Restore the '
        'version table from a backup, or, if you know the version, record it with '
        '"trove-upgrade-manage db stamp REVISION...".'
    )


class RemovalRefused(exceptions.TroveUpgradeError):
    """Our tables are still needed."""

    code = 'REMOVAL_REFUSED'
    template = (
        'The tables of trove-upgrade cannot be removed, and none was: {found}. Then run '
        'the same command again.'
    )


class ServiceNotFound(exceptions.TroveUpgradeError):
    """Refusal to forget a service: none is registered under this id."""

    code = 'SERVICE_NOT_FOUND'
    template = (
        'Service {service_id} cannot be forgotten: no service is listed under this id. '
        '"trove-upgrade-manage service list" shows the ids.'
    )


class ServiceAlive(exceptions.TroveUpgradeError):
    """A service that runs would only come again, and would be unknown in between."""

    code = 'SERVICE_ALIVE'
    template = (
        'Service {service_id} cannot be forgotten: {binary} on {host} was seen {silent} s ago, so '
        'it runs. Stop it: a clean stop removes it from the list. --force forgets it all the '
        'same; one that runs comes again.'
    )


class ServicesListed(exceptions.TroveUpgradeError):
    """Services have not ended in the time that an operator waits for them."""

    code = 'SERVICES_LISTED'
    template = (
        'Services are still listed after {waited} s: {found}. Stop each; one that is silent and '
        'gone for certain: "trove-upgrade-manage service forget ID". Then run the same command '
        'again.'
    )


class OlderServices(exceptions.TroveUpgradeError):
    """Services that need what a contract removes run, or it is not known whether they do."""

    code = 'OLDER_SERVICES'
    exit_code = 6
    template = (
        'The database cannot be contracted for release {release}: of services that need what '
        'goes, {count} {are} still listed: {found}. Stop each, or upgrade it; a clean stop '
        'removes it from the list. Where it is certain that one is gone: "trove-upgrade-manage '
        'service forget ID".'
    )


class DataMigrationBadRow(exceptions.TroveUpgradeError):
    """Rows that cannot be read are left, and nothing else."""

    code = 'DATA_MIGRATION_BAD_ROW'
    template = (
        'Data migration {name} cannot be finished: {column} of {table} is damaged in {rows}; all '
        'other rows are done. Look at each (SELECT {column} FROM {table} WHERE id = ...), repair '
        'it or write an empty list ([]) into it, and run "trove-upgrade-manage db migrate" again.'
    )


class DataMigrationStuck(exceptions.TroveUpgradeError):
    """A data migration that would do the same batch for ever: a fault of the program."""

    code = 'DATA_MIGRATION_STUCK'
    template = (
        'Data migration {name} cannot go on: its batch at "{cursor}" found {found} rows, changed '
        'none and came no further. What was done before stays. Report this as a bug.'
    )


class RevisionNotWritten(exceptions.TroveUpgradeError):
    """Refusal to write a revision; no file was written."""

    code = 'REVISION_NOT_WRITTEN'
    template = 'No revision can be written: {found}. {advice}'


class GuestKeysUnset(exceptions.TroveUpgradeError):
    """Guests' keys are to be made or kept, and the operator's list is empty."""

    code = 'GUEST_KEY_ENCRYPTION_KEYS_UNSET'
    template = (
        '{service} cannot keep the keys of guests: [trove_upgrade] guest_key_encryption_keys is '
        'empty, or guest_rpc_security is off. Make an entry with "trove-upgrade-manage guest-key '
        'generate", and write it into the configuration of every taskmanager; guest_rpc_security '
        '= off leaves every message to and from guests unsealed.'
    )


class GuestKeysInUse(exceptions.TroveUpgradeError):
    """Guests take sealed messages alone, and the configuration forbids to seal."""

    code = 'GUEST_KEYS_IN_USE'
    template = (
        '{service} does not start: [trove_upgrade] guest_rpc_security is off, and {found}. These '
        'guests take no unsealed message. Set it to required; or, where the guest was rebuilt '
        'without a key, "trove-upgrade-manage guest-key forget INSTANCE --yes".'
    )


class OlderTaskmanagerRegistered(exceptions.TroveUpgradeError):
    """A taskmanager of an earlier release knows no keys of guests."""

    code = Code.TASKMANAGER_OLDER
    template = (
        'No key was made: a taskmanager of an earlier release is registered ({found}), and a '
        'guest that has a key takes no call of it. Stop it; one that is gone is removed with '
        '"trove-upgrade-manage service forget".'
    )


class GuestNumbersExhausted(exceptions.TroveUpgradeError):
    """A guest has told a number above which there is none."""

    code = 'GUEST_NUMBERS_EXHAUSTED'
    template = (
        'Instance {instance_id} cannot be asked anything: its agent tells that it has taken the '
        'highest number that a request can have. No agent of this product counts that far: look '
        'at the guest, and rebuild it.'
    )


class GuestKeysNotRotated(exceptions.TroveUpgradeError):
    """Failure to rotate all keys: some rows could not be decrypted."""

    code = 'GUEST_KEYS_NOT_ROTATED'
    template = (
        '{count} keys of guests stay as they are, as no entry of [trove_upgrade] '
        'guest_key_encryption_keys opens them: of instances {found}. All others are encrypted '
        'under the first entry. Add the missing entry and run the same command again; where it is '
        'lost, "trove-upgrade-manage guest-key mint" makes a new key, and "guest-key forget '
        '--deleted" deletes those of deleted instances.'
    )

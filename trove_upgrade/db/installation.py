# SPDX-License-Identifier: Apache-2.0
"""Checks of the database before a service starts: tables, and options that
fit a real Trove's database.
"""

import sqlalchemy as sa
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.conf import messaging
from trove_upgrade.db import errors, faults, trove_tables
from trove_upgrade.db.engine import Database

#: What a taskmanager beside Trove must have; the same as in the page "Add trove-upgrade to your
#: Trove".
_SECTION = f'guest_topic_prefix = {messaging.PREFIX_BESIDE_TROVE} and write_service_status = false'


def table_names(database: Database) -> set[str]:
    """Raises as the database does."""
    return set(sa.inspect(database.engine).get_table_names())


def require_tables(tables: set[str]) -> None:
    """Refuse a database without our tables.

    :raises SchemaMissing: a service would fail at each row.
    """
    missing = faults.missing_tables(tables)
    if missing is not None:
        raise missing


def require_options_beside_trove(conf: cfg.ConfigOpts, tables: set[str], service: str) -> None:
    """Refuse a taskmanager with options of an installation alone, where a real Trove is.

    It would call guests on the topic of Trove's agents, and write the status of services that
    Trove's conductor writes.

    :raises TrovesDatabase: the database is a real Trove's, and an option is not for that.
    """
    if not trove_tables.is_troves(tables):
        return
    options = conf[our_conf.GROUP]
    wrong = []
    if options.guest_topic_prefix in messaging.PREFIXES_OF_TROVE:
        wrong.append(
            f'guest_topic_prefix is "{options.guest_topic_prefix}", on which the agents of Trove '
            'listen'
        )
    if options.write_service_status:
        wrong.append('write_service_status is on, and the conductor of Trove writes the same rows')
    if wrong:
        found = f'{" and ".join(wrong)} (section [{our_conf.GROUP}]'
        found += ')' if our_conf.GROUP in sections(conf) else f' is missing in {_files(conf)})'
        raise errors.TrovesDatabase(
            service=service,
            found=found,
            advice=f'Write into section [{our_conf.GROUP}] of the configuration that this '
            f'program is given (trove.conf): {_SECTION}',
        )


#: Instead of the API alone.
USE_FILTER = (
    'Put the filter into the pipeline of the API of Trove instead, or let [database] '
    'connection name a database of its own'
)
#: Instead of a row that Trove has not made.
CREATE_BY_TROVE = 'Create the instance by the API of Trove'


def refuse_troves(tables: set[str], service: str, advice: str) -> None:
    """Refuse a real Trove's database, for what is meant for one without Trove.

    :raises TrovesDatabase: the database is a real Trove's.
    """
    if trove_tables.is_troves(tables):
        raise errors.TrovesDatabase(
            service=service, found='it is for an installation without Trove', advice=advice
        )


def sections(conf: cfg.ConfigOpts) -> set[str]:
    """Sections of the configuration's files."""
    return set(conf.list_all_sections())


def _files(conf: cfg.ConfigOpts) -> str:
    return ', '.join(str(path) for path in (conf.config_file or [])) or 'the configuration'

# SPDX-License-Identifier: Apache-2.0
"""Options of our tables.

Where the database is, and how its connections are kept, are oslo.db's own options in `[database]`;
none of ours is beside them.
"""

from oslo_config import cfg

OPTS: list[cfg.Opt] = []


def register_connection_opts(conf: cfg.ConfigOpts) -> None:
    """Register oslo.db's `[database]`.  Safe to call twice."""
    from oslo_db import options  # here: guests have no oslo.db, and read this package, too

    conf.register_opts(options.database_opts, 'database')

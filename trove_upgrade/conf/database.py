# SPDX-License-Identifier: Apache-2.0
"""Options of our tables.

Where the database is, and how its connections are kept, are oslo.db's own options in `[database]`; none of ours is beside them.
"""
from oslo_config import cfg
from oslo_db import options

OPTS: list[cfg.Opt] = []


def register_connection_opts(conf: cfg.ConfigOpts) -> None:
    """Register oslo.db's `[database]`.  Safe to call twice."""
    conf.register_opts(options.database_opts, 'database')

# SPDX-License-Identifier: Apache-2.0
"""Logins of an engine with PyMySQL: never in clear text, as a server that stands in the place of
ours would ask for it.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import dialects, engine

from trove_upgrade import logins

#: SQLAlchemy's name of it, in a URL: oslo.db makes its engines of URLs, and connects before it
#: returns them.
PLUGIN = 'trove_upgrade_login'


class LoginPlugin(engine.CreateEnginePlugin):
    """Sees each engine before it connects.  Source: SQLAlchemy 2.0, CreateEnginePlugin."""

    def update_url(self, url: sa.URL) -> sa.URL:
        """Return it as it is: SQLAlchemy has taken the plugin's name out."""
        return url

    def engine_created(self, engine: sa.Engine) -> None:
        """Guard each engine that is made with the plugin."""
        guard(engine)


def guard(engine: sa.Engine) -> sa.Engine:
    """Let every connection of this engine refuse what gives the password or a file away."""
    if engine.driver == 'pymysql':
        sa.event.listen(engine, 'do_connect', _restrict)
    return engine


def guarded(url: sa.URL) -> sa.URL:
    """Return a URL of a guarded engine."""
    return url.update_query_dict({'plugin': PLUGIN}, append=True)


def _restrict(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
    parameters.update(logins.arguments())


dialects.plugins.register(PLUGIN, __name__, LoginPlugin.__name__)

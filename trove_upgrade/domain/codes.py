# SPDX-License-Identifier: Apache-2.0
"""Error codes that one program sets and another acts on.  Stable: see the reference of errors."""

import enum


class Code(enum.StrEnum):
    """Set by a guest or a step; read by a taskmanager or the API."""

    #: A guest's check, or its pre_upgrade, has found a database that does not answer.
    DATABASE_NOT_SERVING = 'DATABASE_NOT_SERVING'
    #: The guest has undone its part, and its database does not serve all the same.
    UNDO_NOT_SERVING = 'UNDO_NOT_SERVING'
    #: Facts of pre_upgrade that are not of their form.
    UPGRADE_INFO_INVALID = 'UPGRADE_INFO_INVALID'

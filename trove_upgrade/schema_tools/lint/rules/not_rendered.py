# SPDX-License-Identifier: Apache-2.0
"""A revision that cannot be printed as SQL without a database."""

from collections.abc import Iterator

from trove_upgrade.db import errors
from trove_upgrade.db.migrations import recording
from trove_upgrade.schema_tools.lint.rule import Hit, Rule
from trove_upgrade.schema_tools.lint.subject import Subject


def _hits(subject: Subject) -> Iterator[Hit]:
    for dialect in recording.DIALECTS:
        recorded = subject.readings.recorded(subject.revision, dialect)
        if isinstance(recorded, errors.RevisionNotRendered):
            yield Hit(dialect, recorded.message)


RULE = Rule(
    code='NOT_RENDERED',
    why='An administrator who runs the SQL by hand does not get it, the plan does not show it, '
    'and the other rules do not see it.',
    instead='Look into the database only through the functions of ops, which print everything '
    'where '
    'there is none.',
    check=_hits,
)

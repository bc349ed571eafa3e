# SPDX-License-Identifier: Apache-2.0
"""A revision that may do online what it does not print."""

import ast
import pathlib
from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.rule import Hit, Rule
from trove_upgrade.schema_tools.lint.subject import Subject

#: A revision that asks for one of these does with a database what it does not print.
_ASKS_FOR_DATABASE = {'as_sql', 'is_offline_mode', 'get_bind', 'connection', 'bind'}


def _hits(subject: Subject) -> Iterator[Hit]:
    tree = ast.parse(pathlib.Path(subject.script.path).read_text(encoding='utf-8'))
    asked = {
        node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)
    } & _ASKS_FOR_DATABASE
    for name in sorted(asked):
        yield Hit(name, f'the revision uses {name}: what it does online may not be what it prints')


RULE = Rule(
    code='ONLINE_ONLY',
    why='What is printed is what is judged here, shown by the plan, and run by an administrator '
    'who runs the SQL by hand.',
    instead='Let the functions of ops look into the database; rows are for data migrations.',
    check=_hits,
)

# SPDX-License-Identifier: Apache-2.0
"""The changes: operators of Cosmic Ray for conditions, sums and loops, and two of our own, for
statements and handlers of errors.  Its own one for handlers fails on a tuple of dotted names.

Not among them: numbers and texts, which are settings and messages; what changes nothing, as `is`
into `==` before None; and all within a call of a log, whose lines are for people.
"""

import difflib
import functools
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Example, Operator
from parso.python.tree import Keyword, Name

from tools.mutants.sample import Mutant

_OF_COSMIC_RAY = re.compile(
    r'core/(AddNot|ReplaceUnaryOperator_Delete_Not|ReplaceAndWithOr|ReplaceOrWithAnd'
    r'|ReplaceComparisonOperator_(Eq_NotEq|NotEq_Eq|Is_IsNot|IsNot_Is'
    r'|Lt_LtE|Lt_GtE|LtE_Lt|LtE_Gt|Gt_GtE|Gt_LtE|GtE_Gt|GtE_Lt)'
    r'|ReplaceBinaryOperator_(Add_Sub|Sub_Add)'
    r'|ReplaceBreakWithContinue|ReplaceContinueWithBreak|ZeroIterationForLoop)'
)
_LOG = re.compile(r'LOG\.')


_Positions = Iterator[tuple[tuple[int, int], tuple[int, int]]]


class DropStatement(Operator):
    """Puts `pass` in the place of a `raise`, or of a call whose result is not used."""

    def mutation_positions(self, node: Any) -> _Positions:
        """A statement that fills its line."""
        if node.type == 'simple_stmt' and _may_be_dropped(node.children[0]):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:  # noqa: ARG002 - Cosmic Ray's signature
        """Change the node in its place."""
        first = node.children[0]
        node.children[0] = Keyword('pass', first.start_pos, first.get_first_leaf().prefix)
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Return what is looked at before each run."""
        return (
            Example('if x:\n    raise y from z\n', 'if x:\n    pass\n'),
            Example(
                'try:\n    f()\nexcept E:\n    raise\n', 'try:\n    f()\nexcept E:\n    pass\n', 1
            ),
            Example('a = f()\nb.c(d)(e)\n', 'a = f()\npass\n'),
        )


class CatchNothing(Operator):
    """Leaves no error to a handler."""

    def mutation_positions(self, node: Any) -> _Positions:
        """All that stands between `except` and `as` or the colon."""
        if node.type == 'except_clause':
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:  # noqa: ARG002 - Cosmic Ray's signature
        """Change the node in its place."""
        errors = node.children[1]
        node.children[1] = Name('()', errors.start_pos, errors.get_first_leaf().prefix)
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Return what is looked at before each run."""
        return (
            Example(
                'try:\n    f()\nexcept (a.B, C) as d:\n    g()\n',
                'try:\n    f()\nexcept () as d:\n    g()\n',
            ),
            Example('try:\n    f()\nexcept A:\n    g()\n', 'try:\n    f()\nexcept ():\n    g()\n'),
        )


_OURS = (DropStatement, CatchNothing)


def _may_be_dropped(statement: Any) -> bool:
    if statement.type in {'atom_expr', 'power'}:
        last = statement.children[-1]
        return last.type == 'trailer' and last.children[0] == '('
    return statement.type == 'raise_stmt' or statement == 'raise'


def require_examples() -> None:
    """Look whether our own operators do what their examples promise.

    :raises AssertionError: one does not.
    """
    for kind in _OURS:
        for one in kind.examples():
            found = mutate_code(one.pre_mutation_code, kind(), one.occurrence)
            if found != one.post_mutation_code:
                raise AssertionError(f'{one.pre_mutation_code!r} became {found!r}')


@functools.cache
def operators() -> Mapping[str, Operator]:
    """Each by its name."""
    named = {
        name.removeprefix('core/'): plugins.get_operator(name)()
        for name in plugins.operator_names()
        if _OF_COSMIC_RAY.fullmatch(name)
    }
    return {**named, **{kind.__name__: kind() for kind in _OURS}}


def mutants(module: str, path: pathlib.Path) -> list[Mutant]:
    """All of one file."""
    source = path.read_text()
    nodes = list(ast_nodes(get_ast(source)))
    return [
        Mutant(module, name, occurrence, line)
        for name, operator in operators().items()
        for occurrence, (line, is_shown) in enumerate(_places(operator, nodes))
        if not is_shown
    ]


def _places(operator: Operator, nodes: list[Any]) -> Iterator[tuple[int, bool]]:
    """The line of each, and whether it is of a call of a log."""
    for node in nodes:
        for (line, _), _ in operator.mutation_positions(node):
            yield line, _is_shown(node)


def _is_shown(node: Any) -> bool:
    while node is not None:
        if node.type == 'simple_stmt':
            return _LOG.match(node.get_code().strip()) is not None
        node = node.parent
    return False


def changed(source: str, mutant: Mutant) -> str:
    """The text of a module after the change."""
    text: str | None = mutate_code(source, operators()[mutant.operator], mutant.occurrence)
    if text is None:
        raise LookupError(f'{mutant} is not there')
    return text


def difference(before: str, after: str) -> str:
    """The lines that differ, each with + or -."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm='', n=0)
    return '\n'.join(f'    {line}' for line in lines if not line.startswith(('---', '+++', '@@')))

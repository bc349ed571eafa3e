# SPDX-License-Identifier: Apache-2.0
"""Test that two columns of a row hold the same, so that a copy can be told from one that an older
service has made stale.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext import compiler
from sqlalchemy.sql import expression


class Differs(expression.FunctionElement[bool]):
    """SQL expression that is true where one is NULL and the other is not, or where any byte
    differs.

    `!=` says neither: it is never true of NULL, and 'Prod' equals 'prod' in MariaDB's usual
    collations.
    """

    type = sa.Boolean()
    name = 'differs'
    inherit_cache = True


@compiler.compiles(Differs)
def _render(element: Differs, compiler_: Any, **options: Any) -> str:
    one, other = element.clauses
    return f'({compiler_.process(one.is_distinct_from(other), **options)})'


@compiler.compiles(Differs, 'mysql')
@compiler.compiles(Differs, 'mariadb')
def _render_mysql(element: Differs, compiler_: Any, **options: Any) -> str:
    one, other = (compiler_.process(each, **options) for each in element.clauses)
    return f'(NOT (BINARY {one} <=> BINARY {other}))'

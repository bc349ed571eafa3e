# SPDX-License-Identifier: Apache-2.0
"""Rules, one to a module that is named as the rule's code.

They are explained in doc/source/reference/lint.rst.
"""

from trove_upgrade.schema_tools.lint.rule import Rule
from trove_upgrade.schema_tools.lint.rules import (
    constraint_over_rows,
    created_in_contract,
    data_changed,
    default_dropped,
    depends_on,
    dropped_in_expand,
    foreign_key_not_ours,
    index_dropped,
    index_locks_writers,
    invalid_index_left,
    not_null_column,
    not_rendered,
    not_repeatable,
    nullable_tightened,
    online_only,
    primary_key_changed,
    renamed,
    revision_fails,
    table_not_ours,
    type_changed,
    type_narrowed,
    unclassified_sql,
    unique_over_rows,
    waiver_invalid,
    waiver_unknown,
    waiver_unused,
)

#: In the order in which findings are printed.
RULES: tuple[Rule, ...] = (
    not_null_column.RULE,
    unique_over_rows.RULE,
    constraint_over_rows.RULE,
    created_in_contract.RULE,
    type_narrowed.RULE,
    type_changed.RULE,
    nullable_tightened.RULE,
    default_dropped.RULE,
    primary_key_changed.RULE,
    dropped_in_expand.RULE,
    renamed.RULE,
    index_dropped.RULE,
    index_locks_writers.RULE,
    invalid_index_left.RULE,
    data_changed.RULE,
    not_repeatable.RULE,
    revision_fails.RULE,
    depends_on.RULE,
    table_not_ours.RULE,
    foreign_key_not_ours.RULE,
    unclassified_sql.RULE,
    not_rendered.RULE,
    online_only.RULE,
    waiver_invalid.RULE,
    waiver_unknown.RULE,
    waiver_unused.RULE,
)

# SPDX-License-Identifier: Apache-2.0
"""Text of rows, guests and tenants on an operator's terminal: the rule is the domain's."""

from trove_upgrade.domain.printable import printable, printable_lines

__all__ = ['printable', 'printable_lines']

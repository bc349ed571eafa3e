# SPDX-License-Identifier: Apache-2.0
"""The end of an upgrade as the demo shows it."""

from lab.demo import follow
from trove_upgrade.domain import notes
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.domain import test_notes


class TestPrintNotes(base.TestCase):
    def test_each_note_is_a_line_with_its_step_and_code(self):
        lines = []
        follow.print_notes(notes.Notes.of(test_notes.BOREALIS).to_answer(), lines.append)
        self.assertEqual(
            [
                '  precheck  warning: The rows of `shop`.`carts` will be gone. (TABLES_IN_MEMORY)',
                '  restore   remark: Root. (OWNER_NOT_RESTORED)',
                '  verify    remark: Silent. (TROVE_AGENT_SILENT)',
                "  restore   setting: sql_mode was 'A' and is 'B'. (SETTING_CHANGED)",
            ],
            lines,
        )

    def test_one_without_notes_has_no_lines(self):
        follow.print_notes(notes.Notes().to_answer(), self.fail)

# SPDX-License-Identifier: Apache-2.0
import pathlib

from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.guestagent.datastores.mysql_family import option_lines
from trove_upgrade.tests.unit import base


class TestParse(base.TestCase):
    def value(self, written):
        _, (_, setting) = option_lines.parse(b'[g]\nx=' + written)
        return setting.value

    def lines(self, content):
        return [line for _, line in option_lines.parse(content)]

    def assert_unclear(self, content, word):
        unclear = [line for line in self.lines(content) if isinstance(line, option_lines.Unclear)]
        self.assertEqual(1, len(unclear), content)
        self.assertIn(word, unclear[0].reason)

    def test_a_quoted_value_ends_at_the_last_quote(self):
        self.assertEqual('pass"word', self.value(b'"pass"word"'))
        self.assertEqual("it''s", self.value(b"'it''s'"))

    def test_quotes_that_differ_stay(self):
        self.assertEqual('\'ab"', self.value(b'\'ab"'))
        self.assertEqual('"', self.value(b'"'))

    def test_a_backslash_stands_for_itself_but_before_what_it_escapes(self):
        self.assertEqual('pa\\ss', self.value(b'pa\\\\ss'))
        self.assertEqual('a\nb\tc d\re\bf"\'', self.value(b'a\\nb\\tc\\sd\\re\\bf\\"\\\''))
        self.assertEqual('C:\\xampp\\', self.value(b'C:\\xampp\\'))

    def test_a_hash_within_quotes_is_no_comment_and_one_behind_them_is(self):
        self.assertEqual('a#b', self.value(b'"a#b" # c'))
        self.assertEqual('a"b#c"d', self.value(b'a"b#c"d#e'))
        self.assertEqual('a"#b', self.value(b'"a\\"#b"'))

    def test_white_space_within_quotes_stays(self):
        self.assertEqual(' a ', self.value(b'  " a "  '))

    def test_a_line_ends_at_a_newline_and_at_nothing_else_that_looks_so(self):
        self.assertEqual('\u20281\x1c2\r3', self.value('\u20281\x1c2\r3'.encode()))

    def test_what_programs_cut_in_different_places_is_unclear(self):
        self.assert_unclear(b'[a]\n#' + b'a' * 4093 + b'user=root\n', '4094 bytes')
        self.assert_unclear(b'[a]\nx=1\0\n', 'NUL')
        self.assert_unclear(b'[a\0]\n', 'NUL')

    def test_what_programs_stop_at_is_unclear(self):
        self.assert_unclear(b'[mysqld\n', 'without ]')
        self.assert_unclear(b'\n # x\nx=1\n[mysqld]\n', 'before the first group (line 3)')
        self.assert_unclear('\ufeff[mysqld]\n'.encode(), 'before the first group')
        self.assert_unclear(b'[mysqld]\n = x\n', 'without a name')
        for nothing in (b'!include\n', b'! includedir \t\n', b'!include'):
            self.assert_unclear(nothing, 'nothing')

    def test_paths_that_lead_each_program_to_another_place_are_unclear(self):
        for directive in (b'!include ', b'!includedir ', b'\t! \xa0 include\v', b'!  includedir\t'):
            for path in (b'x.cnf', b'./x', b'~/x.cnf', b'"/x.cnf"', b'=/x', b'\\/x'):
                self.assert_unclear(directive + path + b'\n', 'working directory')
            for path in (b'/a/../x.cnf', b'/a/~/x.cnf', b'/~anna/x.cnf', b'/a/..'):
                self.assert_unclear(directive + path + b'\n', 'different places')
            self.assert_unclear(directive + b'/' + b'a' * 508 + b'\n', '508 bytes')
            self.assert_unclear(directive + b'/x.cnf # all\n', 'comment')
            self.assert_unclear(directive + b'/x#y.cnf\n', 'comment')

    def test_a_directory_that_is_included_as_a_file_is_unclear(self):
        for path in (b'/x.cnf/', b'/x/.', b'/'):
            self.assert_unclear(b'!include ' + path + b'\n', 'as a file')

    def test_two_slashes_mean_no_more_than_one(self):
        (line,) = self.lines(b'!include //var//x.cnf\n')
        self.assertEqual(pathlib.Path('/var/x.cnf'), line.path)

    def test_a_directive_that_no_newline_ends_is_unclear_where_its_last_character_counts(self):
        for content in (b'!include /x.cnf', b'!includedir /x', b'!include /x\xff'):
            self.assert_unclear(content, 'no newline')
        for content in (b'!include /x.cnf ', b'!includedir /x/', b'!includedir /x\r'):
            (line,) = self.lines(content)
            self.assertIsInstance(line, option_lines.Include)

    def test_groups_are_compared_without_regard_to_case_of_ascii_letters(self):
        self.assertEqual([option_lines.Group('mysqld')], self.lines(b'[MySQLd]\n'))
        self.assertEqual([option_lines.Group('\u212a')], self.lines('[\u212a]\n'.encode()))

    def test_a_group_with_a_blank_before_its_name_is_another(self):
        self.assertEqual(
            [(1, option_lines.Group(' mysqld')), (2, option_lines.Group('mysqld'))],
            list(option_lines.parse(b'[ mysqld]\n[mysqld ] x\n')),
        )

    def test_a_directive_is_told_from_its_argument(self):
        path = pathlib.Path('/etc/my files')
        for content in (
            b'!includedir\t /etc/my files \n',
            b'! includedir /etc/my files\n',
            b' \t!\v\xa0includedir\f/etc/my files\r\n',
        ):
            self.assertEqual([option_lines.Include(path, is_directory=True)], self.lines(content))
        self.assertEqual(
            [option_lines.Include(path, is_directory=False)],
            self.lines(b'! include /etc/my files\n'),
        )

    def test_a_directive_that_no_program_knows_is_passed_over(self):
        for content in (b'!\n', b'!INCLUDE /x\n', b'!includex /x\n', b'!include/x\n', b'!x\n'):
            self.assertEqual([], self.lines(content))

    @given(
        st.text(st.characters(exclude_characters='\n\0', exclude_categories=('Cs',)), max_size=30)
    )
    def test_what_is_escaped_and_quoted_comes_back_whole(self, text):
        written = text.replace('\\', '\\\\').replace('"', '\\"')
        self.assertEqual(text, self.value(f'"{written}"'.encode()))

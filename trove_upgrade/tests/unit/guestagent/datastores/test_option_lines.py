# SPDX-License-Identifier: Apache-2.0
from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.guestagent.datastores.mysql_family import option_lines
from trove_upgrade.tests.unit import base


class TestParse(base.TestCase):
    def value(self, written):
        ((_, setting),) = option_lines.parse(b'x=' + written)
        return setting.value

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

    def test_a_line_that_is_too_long_for_the_server_goes_on_as_another(self):
        found = [line for _, line in option_lines.parse(b'x=' + b'a' * 4092 + b'user=root')]
        self.assertEqual(
            [option_lines.Setting('x', 'a' * 4092), option_lines.Setting('user', 'root')], found
        )

    def test_a_group_with_a_blank_before_its_name_is_another(self):
        self.assertEqual(
            [(1, option_lines.Group(' mysqld')), (2, option_lines.Group('mysqld'))],
            list(option_lines.parse(b'[ mysqld]\n[mysqld ] x\n')),
        )

    def test_a_directive_is_told_from_its_argument(self):
        self.assertEqual(
            [(1, option_lines.Include('!includedir', '/etc/my files'))],
            list(option_lines.parse(b'!includedir\t /etc/my files ')),
        )

    @given(
        st.text(st.characters(exclude_characters='\n\0', exclude_categories=('Cs',)), max_size=30)
    )
    def test_what_is_escaped_and_quoted_comes_back_whole(self, text):
        written = text.replace('\\', '\\\\').replace('"', '\\"')
        self.assertEqual(text, self.value(f'"{written}"'.encode()))

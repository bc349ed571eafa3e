# SPDX-License-Identifier: Apache-2.0
import pathlib

from trove_upgrade.domain import origin
from trove_upgrade.tests.unit import base

_HERE = r'trove_upgrade\.tests\.unit\.domain\.test_origin:\d+'


def raised(body):
    try:
        body()
    except Exception as error:
        return error
    raise AssertionError('nothing was raised')


def divide():
    return 1 / 0


def read():
    pathlib.Path('/nonexistent/S3CRET').read_text()


def chain():
    try:
        read()
    except OSError as error:
        raise ValueError('S3CRET') from error


def deep(levels=9):
    try:
        divide() if not levels else deep(levels - 1)
    except Exception as error:
        raise RuntimeError(levels) from error


class TestOrigin(base.TestCase):
    def test_the_kind_the_module_the_line_and_the_function_are_named(self):
        self.assertRegex(origin.of(raised(divide)), rf'^ZeroDivisionError at {_HERE} \(divide\)$')

    def test_an_error_of_a_library_names_our_call_and_the_librarys_place(self):
        self.assertRegex(
            origin.of(raised(read)),
            rf'^FileNotFoundError \(ENOENT\) at {_HERE} \(read\), '
            r'which called pathlib:\d+ \(\w+\)$',
        )

    def test_what_it_was_raised_from_is_named_too_and_nothing_of_their_texts(self):
        found = origin.of(raised(chain))
        self.assertRegex(
            found,
            rf'^ValueError at {_HERE} \(chain\), '
            rf'caused by FileNotFoundError \(ENOENT\) at {_HERE} \(read\), ',
        )
        self.assertNotIn('S3CRET', found)

    def test_a_long_chain_is_cut(self):
        self.assertEqual(2, origin.of(raised(deep)).count('caused by'))

    def test_one_that_was_never_raised_has_a_kind(self):
        self.assertEqual(
            'trove_upgrade.tests.unit.domain.test_origin.Strange', origin.of(Strange('S3CRET'))
        )

    def test_the_sentences(self):
        found = origin.unexpected(
            'pre_upgrade failed', raised(divide), 'the log of the guest agent'
        )
        self.assertRegex(
            found,
            r'^pre_upgrade failed: an unexpected error was found, '
            rf'ZeroDivisionError at {_HERE} \(divide\)\. '
            r'Look at its traceback in the log of the guest agent, and report it as a bug\.$',
        )


class Strange(Exception):
    pass

# SPDX-License-Identifier: Apache-2.0
"""Arguments of all commands: what no name, id, time or number can be is no question to the
service.
"""

import argparse

from troveupgradeclient.tests import base


def _arguments():
    """Each argument that has a value: (words of the command, argument, words with `{}` for it)."""
    for name, kind in base.commands().items():
        parser = argparse.ArgumentParser(add_help=False)
        kind(argparse.Namespace(), None).add_arguments(parser)
        words = name.removeprefix('database upgrade ').split()
        valued = [each for each in parser._actions if each.nargs != 0]
        named = [each for each in valued if not each.option_strings]
        for argument in valued:
            line = ['{}' if each is argument else 'orders' for each in named]
            if argument.option_strings:
                line.append(f'{argument.option_strings[0]}={{}}')
            yield words, argument, line


class TestArguments(base.CommandTestCase):
    def assert_each_refuses(self, value):
        tried = set()
        for words, argument, line in _arguments():
            err = self.assert_not_understood(*words, *(each.format(value) for each in line))
            called = argument.option_strings[0] if argument.option_strings else argument.metavar
            # cliff reads a first word that is empty as the begin of another one, as of `check show`
            if (words, argument.dest, value) != (['check'], 'instance', ''):
                self.assertIn(f'argument {called}: ', err)
            tried.add(argument.dest)
        self.assertLessEqual({'instance', 'upgrade', 'check', 'project', 'state', 'marker'}, tried)

    def test_none_may_be_empty_as_a_variable_that_is_not_set_is(self):
        for value in ('', ' '):
            self.assert_each_refuses(value)
        err = self.assert_not_understood('check', 'show', 'orders', '')
        self.assertIn('argument <check>: it is empty, as a variable that is not set is', err)

    def test_a_number_is_one_that_a_list_takes(self):
        for words in (('list',), ('drift',)):
            for number in ('0', '-1', '1e3', '100000000000000000000'):
                err = self.assert_not_understood(*words, f'--limit={number}')
                self.assertIn('argument --limit: ', err)

    def test_none_may_lead_elsewhere_in_an_address(self):
        for value in ('.', '..'):
            self.assert_each_refuses(value)

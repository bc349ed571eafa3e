# SPDX-License-Identifier: Apache-2.0
"""No instance ends without a word of what is left to the operator."""

import ast
import importlib
import inspect
import pkgutil

from trove_upgrade import bridge
from trove_upgrade.bridge.report import advice
from trove_upgrade.bridge.report.remedies import REMEDIES, Remedy
from trove_upgrade.domain import (
    bridge_runs,
    database_service,
    exceptions,
    network,
    openings,
    pace,
)
from trove_upgrade.domain.bridge_ends import InstanceGone
from trove_upgrade.domain.inventory import Obstacle
from trove_upgrade.sealing import at_rest
from trove_upgrade.tests.unit import base

#: Codes that the bridge knows and that end no member, each with its reason.
_ENDS_NO_MEMBER = {
    'BRIDGE_MEMBER_LOST': 'another host goes on with it',
    'BRIDGE_NO_ROOM': 'it waits',
    'BRIDGE_RUN_NOT_FOUND': 'of a command',
    'BRIDGE_RUN_STOPPED': 'of a run',
    'BRIDGE_SMOKE_INSTANCE_LEFT': 'of a new instance',
    'BRIDGE_TEMPLATES_UNREADABLE': 'of "check"',
    'BRIDGE_TEMPLATE_NOT_COPIED': 'of "check"',
    'CLOUD_UNKNOWN': 'before a run begins',
    'DATASTORE_VERSION_NOT_FOUND': 'becomes NO_TARGET',
    'IMAGE_NOT_FOUND': 'of "check"',
    'INSTANCE_IN_OTHER_RUN': 'before a run begins',
    'INSTANCE_LIST_UNREADABLE': 'of "inventory"',
}
_PORTS = (bridge_runs, database_service, network, openings, pace, at_rest)


def modules():
    for found in pkgutil.walk_packages(bridge.__path__, f'{bridge.__name__}.'):
        if not found.name.startswith(f'{bridge.__name__}.report'):
            yield importlib.import_module(found.name)


def is_error(value):
    return isinstance(value, type) and issubclass(value, exceptions.TroveUpgradeError)


def errors_named_in(module):
    """What it defines, imports, or names as an attribute of a module."""
    yield from filter(is_error, vars(module).values())
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found = vars(module).get(node.value.id)
            if inspect.ismodule(found) and is_error(getattr(found, node.attr, None)):
                yield getattr(found, node.attr)


def codes_of_the_bridge():
    found = {str(kind.code) for module in modules() for kind in errors_named_in(module)}
    for module in _PORTS:  # what the bridge's ports may raise
        found |= {
            str(kind.code)
            for kind in filter(is_error, vars(module).values())
            if kind.__module__ == module.__name__
        }
    return found


class TestAdvice(base.TestCase):
    def test_each_code_that_can_end_a_member_has_its_own(self):
        wanted = codes_of_the_bridge() - set(_ENDS_NO_MEMBER) | set(map(str, Obstacle))
        self.assertLess(50, len(wanted))
        self.assertEqual(sorted(wanted), sorted(advice.ADVICE))

    def test_what_ends_no_member_is_still_known(self):
        self.assertEqual(set(), set(_ENDS_NO_MEMBER) - codes_of_the_bridge())

    def test_each_is_a_kind_and_sentences(self):
        for code, one in advice.ADVICE.items():
            is_gone = code == InstanceGone.code
            self.assertEqual(is_gone, one.remedy is Remedy.NOTHING, code)
            self.assertRegex(one.text, r'^[A-Z].*\.$', code)
        self.assertEqual(set(Remedy), set(REMEDIES))

    def test_guests_that_no_image_can_follow_are_re_created(self):
        for code in (
            'NO_DRIVER',
            'IN_CLUSTER',
            'BRIDGE_GUEST_LIBC_TOO_OLD',
            'BRIDGE_GUEST_OTHER_ARCHITECTURE',
            'BRIDGE_GUEST_UNSUITABLE',
        ):
            self.assertEqual(Remedy.RECREATE, advice.of_code(code).remedy, code)

    def test_those_without_ssh_or_credentials_need_a_step_and_if_it_fails_are_re_created(self):
        for code in ('REACH_REFUSED', 'REACH_TIMED_OUT', 'LOGIN_REFUSED', 'SUDO_REFUSED'):
            found = advice.of_code(code)
            self.assertEqual(Remedy.MANUAL_STEP, found.remedy, code)
            self.assertIn('create a new instance', found.text, code)

    def test_a_code_of_another_release_is_looked_at(self):
        self.assertEqual(Remedy.LOOK, advice.of_code('OF_TOMORROW').remedy)
        self.assertEqual(Remedy.LOOK, advice.of_code(None).remedy)

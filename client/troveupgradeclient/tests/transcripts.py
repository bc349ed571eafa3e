# SPDX-License-Identifier: Apache-2.0
"""Transcripts in the pages of the documentation, made by running their commands against the server
that stands in: `python -m troveupgradeclient.tests.transcripts` writes them anew.

In a page a line of a literal block that begins with `$ ` is a command, and what follows it is its
output. A comment `.. scene: NAME` changes what the server answers from then on.
"""

import dataclasses
import re
import shlex
import unittest
from collections.abc import Callable

from troveupgradeclient.tests import base
from troveupgradeclient.tests.standin import world
from troveupgradeclient.tests.standin.application import Release

PAGES = base.DISTRIBUTION.parent / 'doc' / 'source'
PAGE = PAGES / 'user' / 'index.rst'
_PROMPT = '    $ '
_INDENT = '    '
_SCENE = re.compile(r'\.\. scene: (\w+)')
_AGE = re.compile(r'for \d+ \w+(?: \d+ \w+)?:')
_STATUS = 'echo $?'
_QUICK = ('--interval', '0.01')
#: As the variable of the environment has it that the page names.
_WIDTH = ('--max-width', '150')


def _new(case):
    case.world.upgrades.clear()
    case.world.script.clear()
    case.world.forbidden = {'retry', 'rollback'}  # as the policy has it for members
    case.standin.application.release = Release.NEWEST


def _failed(case):
    _new(case)
    cause = (
        f'The new guest of instance {world.ORDERS} did not report within 900 s (no heartbeat came '
        'yet). Look at the console of server [id]. Then retry the upgrade.'
    )
    case.world.add_upgrade(**world.failed(cause, 'BOOT_TIMEOUT'))


def _admin(case):
    case.world.forbidden = set()


def _failed_for_an_admin(case):
    _failed(case)
    _admin(case)


def _in_rebuild(case):
    _new(case)
    case.world.add_upgrade(**world.running('rebuild', percent=40, left=45.0))


def _without_service(case):
    case.standin.application.release = Release.NONE


def _drifted(case):
    _new(case)
    case.world.drift = {
        world.PROJECT: [world.ORDERS, world.REPORTS],
        'b1946ac92492d2347c6235b4d2611184': [world.new_id('instance', 3)],
    }


SCENES: dict[str, Callable[[base.CommandTestCase], None]] = {
    'new': _new,
    'failed': _failed,
    'admin': _admin,
    'failed_for_an_admin': _failed_for_an_admin,
    'rebuild': _in_rebuild,
    'drifted': _drifted,
    'nothing': _without_service,
}


@dataclasses.dataclass
class Transcriber:
    """Runs the commands of a page, each once, in their order."""

    case: base.CommandTestCase
    status: int = 0

    def page(self, text):
        """The page with the output that each command has now."""
        made, lines, position = [], text.splitlines(), 0
        while position < len(lines):
            line = lines[position]
            position += 1
            made.append(line)
            scene = _SCENE.fullmatch(line)
            if scene:
                SCENES[scene[1]](self.case)
            if line.startswith(_PROMPT):
                while position < len(lines) and _is_output(lines[position]):
                    position += 1
                made += [f'{_INDENT}{each}'.rstrip() for each in self._run(line)]
        return '\n'.join(made) + '\n'

    def _run(self, line):
        command = line.removeprefix(_PROMPT)
        if command == _STATUS:
            return [str(self.status)]
        words = shlex.split(command)
        if words[:3] != ['openstack', 'database', 'upgrade']:
            raise ValueError(f'{command} is no command of the client')
        words = words[3:]
        follows = 'watch' in words or '--wait' in words or words[0] == 'check'
        if follows and words[:2] != ['check', 'show'] and '--no-wait' not in words:
            words += _QUICK
        ended = self.case.run_command(*words, *_WIDTH)
        self.status = ended.status
        return _AGE.sub('for 5 min:', ended.err + ended.out).splitlines()


def _is_output(line):
    return line.startswith(_INDENT) and not line.startswith(_PROMPT)


class _Scribe(base.CommandTestCase):
    def write(self):
        PAGE.write_text(Transcriber(self).page(PAGE.read_text()))


if __name__ == '__main__':
    unittest.TextTestRunner().run(_Scribe('write'))

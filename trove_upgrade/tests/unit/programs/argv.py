# SPDX-License-Identifier: Apache-2.0
"""Programs in a command's words, with those that it starts in turn: `setpriv ... -- mariadbd`,
`ip netns exec NAME python`, `sh -c ...`.
"""

import pathlib
import re

#: Stands for a word that the source does not spell out.
UNKNOWN = '\0'
#: Start the command that follows their options; where "--" is among the words, it stands before the
#: command.
_WRAPPERS = {
    'env',
    'setpriv',
    'unshare',
    'nsenter',
    'setsid',
    'chroot',
    'timeout',
    'nice',
    'xargs',
    'exec',
    'command',
    'sudo',
    'gosu',
    'tini',
}
#: Options whose value is a word of its own.
_WITH_VALUE = {'--propagation', '--pdeathsig', '--target', '-o', '-n'}
#: Take that many operands before the command.
_OPERANDS = {'chroot': 1, 'timeout': 1, 'gosu': 1}
SHELLS = {'sh', 'bash', 'dash'}
_SYSTEM = re.compile(r'(/usr(/local)?)?/s?bin')
_NAME = re.compile(r'[a-z_\[][\w.+-]*')
_SCRIPT_FOLLOWS = re.compile(r'-[a-z]*c')
_ASSIGNMENT = re.compile(r'\w+\+?=')


def program(word):
    """Name of the program that `word` is, where it is looked for on the PATH or in a folder of
    the system; else None.
    """
    path = pathlib.PurePosixPath(word)
    if path.is_absolute():
        return path.name if _SYSTEM.fullmatch(str(path.parent)) else None
    return word if _NAME.fullmatch(word) else None


def programs(words, shell):
    """Every program of one command.  `shell` gives those of a script's text."""
    words = list(words)
    while words and _ASSIGNMENT.match(words[0]):
        words.pop(0)
    if not words:
        return
    first = program(words[0])
    if first is None:
        if (
            words[0] == UNKNOWN and '--' in words
        ):  # a wrapper that the source puts together elsewhere
            yield from programs(words[words.index('--') + 1 :], shell)
        return
    yield first
    if first in SHELLS and len(words) > 2 and _SCRIPT_FOLLOWS.fullmatch(words[1]):
        yield from shell(words[2])
        if '"$@"' in words[2]:
            yield from programs(words[4:], shell)
    elif first == 'ip' and words[1:3] == ['netns', 'exec']:
        yield from programs(words[4:], shell)
    elif first in _WRAPPERS:
        yield from programs(_inner(first, words[1:]), shell)


def _inner(wrapper, words):
    if '--' in words:
        return words[words.index('--') + 1 :]
    at = 0
    while at < len(words) and words[at].startswith('-'):
        at += 2 if words[at] in _WITH_VALUE else 1
    return words[at + _OPERANDS.get(wrapper, 0) :]

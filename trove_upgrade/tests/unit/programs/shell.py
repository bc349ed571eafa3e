# SPDX-License-Identifier: Apache-2.0
"""Programs that a shell script starts.  Reads the subset of the shell that our scripts are
written in.
"""

import re

from trove_upgrade.tests.unit.programs import argv

_BUILTINS = frozenset(
    [
        '.',
        ':',
        '[',
        'alias',
        'break',
        'bg',
        'cd',
        'command',
        'continue',
        'declare',
        'echo',
        'eval',
        'exec',
        'exit',
        'export',
        'false',
        'fg',
        'getopts',
        'hash',
        'jobs',
        'kill',
        'let',
        'local',
        'mapfile',
        'printf',
        'pwd',
        'read',
        'readonly',
        'return',
        'set',
        'shift',
        'shopt',
        'source',
        'test',
        'times',
        'trap',
        'true',
        'type',
        'typeset',
        'ulimit',
        'umask',
        'unset',
        'wait',
    ]
)
_KEYWORDS = frozenset(
    ['!', '{', '}', 'if', 'then', 'elif', 'else', 'fi', 'do', 'done', 'while', 'until', 'time']
)
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1([^\n]*)\n(?:.*?\n)??\s*\2(?=\n|$)", re.DOTALL)
_REDIRECTION = re.compile(r'\d*(<<<|>>|>\||<>|[<>])&?\s*[^\s;|&)]*')
_PATTERN = re.compile(
    r'(^|;;|\bin\s)\s*\(?[^\s()"\'$;]+(\s*\|\s*[^\s()]+)*\)', re.MULTILINE
)  # of a case
_FUNCTION = re.compile(r'^\s*([\w-]+)\s*\(\)', re.MULTILINE)
_RUN_LATER = re.compile(r'(\bsh -c|\btrap)\s+$')
_WORD = 'QUOTED'


def programs(text, sourced=''):
    """Names of programs, each once; `sourced` is what the script reads its functions from."""
    functions = set(_FUNCTION.findall(text)) | set(_FUNCTION.findall(sourced))
    return {
        name for name in _commands(text) if name not in functions | _BUILTINS | _KEYWORDS | {_WORD}
    }


def _commands(text):
    flat = _Flat(_HEREDOC.sub(r'\3', text.replace('\\\n', ' ')))
    for script in flat.scripts:
        yield from _commands(script)
    text = _PATTERN.sub(r'\1; ', _REDIRECTION.sub(' ', _FUNCTION.sub('', flat.text)))
    for part in re.split(r'[;\n|&()]', text):
        yield from _simple(part.split())


class _Flat:
    """A script with a plain word in place of each quoted string and substitution, and without
    comments.

    `scripts`: what is run inside of those: substitutions, the argument of `sh -c`, a trap.
    """

    def __init__(self, text):
        self._in, self._at, self.scripts = text, 0, []
        self.text = self._read(None)

    def _read(self, end):
        """Up to the character `end`, which is read too."""
        out, depth = [], 0
        while self._at < len(self._in):
            here, one = self._at, self._in[self._at]
            self._at += 1
            if one == end and not depth:
                break
            if one == '\\':
                self._at += 1
                out.append('X')
            elif one == "'" and end != '"':
                self._at = self._in.index("'", here + 1) + 1
                out.append(self._quoted(''.join(out), self._in[here + 1 : self._at - 1]))
            elif one == '"':
                self._read('"')
                out.append(self._quoted(''.join(out), self._in[here + 1 : self._at - 1]))
            elif self._in.startswith('$((', here) or (
                end != '"' and self._in.startswith('((', here)
            ):
                self._at = self._in.index('))', here) + 2
                out.append(_WORD)
            elif self._in.startswith(('$(', '<('), here) or one == '`':
                self._at = here + (1 if one == '`' else 2)
                self._read('`' if one == '`' else ')')
                self.scripts.append(self._in[here + (1 if one == '`' else 2) : self._at - 1])
                out.append(_WORD)
            elif self._in.startswith('${', here):
                self._at = here + 2
                self._read('}')
                out.append(_WORD)
            elif one == '#' and end != '"' and (not out or out[-1][-1].isspace()):
                self._at = self._in.find('\n', here) if '\n' in self._in[here:] else len(self._in)
            else:
                depth += (one == '(') - (one == ')') if end == ')' else 0
                out.append(one)
        return ''.join(out)

    def _quoted(self, before, inside):
        if _RUN_LATER.search(before):
            self.scripts.append(inside)
        return _WORD


def _simple(words):
    while words and words[0] in _KEYWORDS:
        words = words[1:]
    if not words or words[0] in {'for', 'case', 'in', 'esac', 'function'}:
        return
    yield from argv.programs(words, programs)

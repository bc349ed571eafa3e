# SPDX-License-Identifier: Apache-2.0
"""Programs that an init script names: its service's processes are found by them where the script
does not tell whether it runs.
"""

import re
from collections.abc import Sequence

_COMMENT = re.compile(r'^\s*#.*$', re.MULTILINE)
_ASSIGNMENT = re.compile(r'^\s*(?:export\s+)?(\w+)=["\']?([^"\'\s;]*)', re.MULTILINE)
_VARIABLE = re.compile(r'\$(?:\{(\w+)\}|(\w+))')
#: Variables are made of variables, seldom of more than these.
_ROUNDS = 4
#: Many services have these in common.  The program is what they run.
_INTERPRETERS = re.compile(r'(?:python|pypy|perl|ruby)[\d.]*|(?:ba|da)?sh|env|nice|su|sudo')


class ScriptPrograms:
    """Paths in the text of one script, its variables replaced by what it sets them to."""

    def __init__(self, text: str) -> None:
        code = _COMMENT.sub('', text)
        values = dict(_ASSIGNMENT.findall(code))

        def value(found: re.Match[str]) -> str:
            return str(values.get(found[1] or found[2], found[0]))

        for _ in range(_ROUNDS):
            code = _VARIABLE.sub(value, code)
        self._code = code

    def has(self, words: Sequence[str]) -> bool:
        """Return whether the program of a process with this command line is named.  The end of a
        longer path counts, too: /bin may be a link to /usr/bin.
        """
        path = _program(words)
        return path.startswith('/') and bool(
            re.search(re.escape(path) + r'(?![\w./-])', self._code)
        )


def _program(words: Sequence[str]) -> str:
    first, *others = words or ('',)
    if not _INTERPRETERS.fullmatch(first.rpartition('/')[2]):
        return first
    return next((word for word in others if word.startswith('/')), '')

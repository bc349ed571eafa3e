# SPDX-License-Identifier: Apache-2.0
"""Programs that Python source starts: found where a list of words is passed on to what starts
programs.

A call that starts a program (subprocess, os.exec*) spells out its words, or stands in a function
that takes them from its callers.  Such a function is named in FORWARDERS, and what is passed to it
is found by its name; `unspelled` has those calls.
"""

import ast
import dataclasses
import re

from trove_upgrade.tests.unit.programs import argv, shell

_PRIMITIVES = {
    'subprocess': {
        'run',
        'Popen',
        'call',
        'check_call',
        'check_output',
        'getoutput',
        'getstatusoutput',
    },
    'os': {
        'execl',
        'execle',
        'execlp',
        'execlpe',
        'execv',
        'execve',
        'execvp',
        'execvpe',
        'posix_spawn',
        'posix_spawnp',
        'spawnl',
        'spawnv',
        'system',
        'popen',
    },
    'asyncio': {'create_subprocess_exec', 'create_subprocess_shell'},
}
#: Take a script's text, not words.
_OF_STRINGS = frozenset({'getoutput', 'getstatusoutput', 'create_subprocess_shell'})
#: Functions that pass on a command's words which their callers give them.
FORWARDERS = frozenset(
    {
        'run',
        'follow',
        'launch',
        'start',
        '_run_in',
        '_start',
        '_succeeds',
        'run_program',
        '_migration',
        '_become',
        '_tempest',
        '_argv',
        'attach',
        '_setUp',
        '_pip_config',
        '__init__',
        'as_user',
        'run_as_user',
        'client',
        'ensure',
        'manage',
        'script',
        'shown',
        'status',
        'taskmanager',
        'command',
        'Command',
        'Migration',
        'exec',
    }
)
#: Of these, the ones whose words are arguments of their own, not a list.
_BY_NAME = frozenset(
    {'as_user', 'run_as_user', '_run_in', '_succeeds', 'client', 'binary', 'which'}
)
#: Of these, the ones that run a command in a guest or in a container.
_INSIDE = frozenset({'exec', '_run_in'})
_OPTION = re.compile(r'--?[A-Za-z]')
_NAMES_OF_LISTS = frozenset({'argv', 'command', 'words', 'prefix'})
_STARTING = FORWARDERS | {name for names in _PRIMITIVES.values() for name in names}


@dataclasses.dataclass(frozen=True)
class Found:
    """One program at one place."""

    name: str
    place: str  #: file and line
    inside: bool  #: in a guest or a container, whatever the file


class Source:
    """One file."""

    def __init__(self, path, shown):
        self._tree = ast.parse(path.read_text(), str(path))
        self._parents = {
            child: node for node in ast.walk(self._tree) for child in ast.iter_child_nodes(node)
        }
        self._path = shown
        self._branch = 'body'  #: of a conditional expression that is read now
        self._passed = {
            (self._enclosing(node), node.args[0].id)
            for node in self._parents
            if isinstance(node, ast.Call)
            and node.args
            and isinstance(node.args[0], ast.Name)
            and _name(node.func) in _STARTING
        }

    def programs(self):
        """Each program, of either branch of a conditional expression."""
        for node in self._parents:
            nodes = []
            if isinstance(node, (ast.List, ast.Tuple)) and self._is_command(node):
                nodes = node.elts
            elif isinstance(node, ast.Call) and node.args and self._names_a_program(node):
                nodes = node.args
            for name in sorted(self._of_either_branch(nodes)):
                yield Found(
                    name,
                    f'{self._path}:{node.lineno}',
                    _name(getattr(self._taker(node), 'func', node)) in _INSIDE,
                )

    def _of_either_branch(self, nodes):
        found = set()
        for self._branch in ('body', 'orelse'):
            found |= set(argv.programs(self._words(nodes), shell.programs))
        return found

    def unreadable(self):
        """Places where a program could be started under a name, or in a string, that is not
        read.
        """
        for node in self._parents:
            if isinstance(node, ast.ImportFrom) and node.module in _PRIMITIVES:
                hidden = any(alias.name in _PRIMITIVES[node.module] for alias in node.names)
            elif isinstance(node, ast.Import):
                hidden = any(alias.name in _PRIMITIVES and alias.asname for alias in node.names)
            elif isinstance(node, ast.Call):
                hidden = _name(node.func) in _OF_STRINGS or any(
                    keyword.arg == 'shell' and getattr(keyword.value, 'value', True)
                    for keyword in node.keywords
                )
            else:
                hidden = False
            if hidden:
                yield f'{self._path}:{node.lineno}'

    def _names_a_program(self, call):
        if not isinstance(call.args[0], ast.Constant):
            return False
        finds = (
            _name(call.func) == 'find' and _name(getattr(call.func, 'value', call)) == 'programs'
        )  # the guest agent's port
        return finds or _name(call.func) in _BY_NAME

    def unspelled(self):
        """File and function of each call that does not spell out its words."""
        for node in self._parents:
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.attr in _PRIMITIVES.get(node.func.value.id, ())
            ) and not any(self._is_list(one) for one in node.args[:2]):  # exec's are the second
                yield f'{self._path} {self._function(node)}'

    def _is_list(self, node):
        """True for a list, and for a name that its function gives a list to."""
        if not isinstance(node, ast.Name):
            return isinstance(node, (ast.List, ast.Tuple))
        where = self._enclosing(node)
        return any(
            isinstance(one, ast.Assign)
            and isinstance(one.value, (ast.List, ast.Tuple))
            and any(_name(target) == node.id for target in one.targets)
            for one in ast.walk(where or self._tree)
        )

    def _taker(self, node):
        """The call that a list is an argument of, be it in a sum or by a condition; or what else
        the list is part of.
        """
        if isinstance(node, ast.Call):
            return node
        parent = self._parents.get(node)
        while isinstance(
            parent, (ast.BinOp, ast.IfExp, ast.Starred, ast.List, ast.Tuple, ast.keyword)
        ):
            parent = self._parents.get(parent)
        return parent

    def _is_command(self, node):
        """A list that is passed to what starts programs, or has an option among its words, or is
        named as one.
        """
        if any(
            isinstance(one, ast.Constant)
            and isinstance(one.value, str)
            and _OPTION.match(one.value)
            for one in node.elts[1:]
        ):
            return True
        taker = self._taker(node)
        if isinstance(taker, ast.Call):
            return _name(taker.func) in _STARTING
        if isinstance(taker, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            targets = taker.targets if isinstance(taker, ast.Assign) else [taker.target]
            return any(
                _name(target).lower().strip('_') in _NAMES_OF_LISTS
                or (self._enclosing(node), _name(target)) in self._passed
                for target in targets
            )
        return isinstance(taker, ast.Return) and self._function(node) in FORWARDERS

    def _words(self, nodes):
        return [word for one in nodes for word in self._word(one)]

    def _word(self, node):
        """The words that an expression stands for."""
        if isinstance(node, ast.Constant):
            return [node.value] if isinstance(node.value, str) else [argv.UNKNOWN]
        if isinstance(node, ast.JoinedStr):
            return [
                ''.join(
                    one.value if isinstance(one, ast.Constant) else 'FIELD' for one in node.values
                )
            ]
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return [''.join([*self._word(node.left), *self._word(node.right)])]
        if isinstance(node, (ast.List, ast.Tuple)):
            return self._words(node.elts)
        if isinstance(node, ast.IfExp):
            return self._word(getattr(node, self._branch))
        return (
            self._assigned(node)
            if isinstance(node, ast.Name)
            else self._word(node.value)
            if isinstance(node, ast.Starred)
            else [argv.UNKNOWN]
        )

    def _assigned(self, name):
        """What the function, else the module, assigns to the name."""
        where = self._parents.get(name)
        while where is not None:
            if isinstance(where, (ast.FunctionDef, ast.Module)):
                for node in where.body:
                    if isinstance(node, ast.Assign) and any(
                        _name(target) == name.id for target in node.targets
                    ):
                        return self._word(node.value)
            where = self._parents.get(where)
        return [argv.UNKNOWN]

    def _enclosing(self, node):
        while node is not None and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node = self._parents.get(node)
        return node

    def _function(self, node):
        return getattr(self._enclosing(node), 'name', None)


def _name(node):
    return (
        node.attr
        if isinstance(node, ast.Attribute)
        else node.id
        if isinstance(node, ast.Name)
        else ''
    )

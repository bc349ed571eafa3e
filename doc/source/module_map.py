# SPDX-License-Identifier: Apache-2.0
"""Directive `module-map`: the modules of a folder, each with its docstring's first sentence."""

import ast
import pathlib
import re
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

ROOT = pathlib.Path(__file__).resolve().parents[2]
#: A full stop that ends a sentence, and not the one of `e.g.` or of a file's name.
_SENTENCE = re.compile(r'(?<![. ][a-z])\.(?=\s|$)')


def first_sentence(path: pathlib.Path) -> str:
    """Return that of the module's docstring, in one line; empty where it has none."""
    text = ' '.join((ast.get_docstring(ast.parse(path.read_text('utf-8'))) or '').split())
    return _SENTENCE.split(text, maxsplit=1)[0]


class ModuleMap(Directive):
    """`.. module-map:: trove_upgrade/taskmanager`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make a definition list, in the order of the names."""
        folder = ROOT / self.arguments[0]
        environment: Any = self.state.document.settings.env
        listing = nodes.bullet_list()
        for path in sorted(folder.glob('*.py')):
            environment.note_dependency(str(path))
            sentence = first_sentence(path)
            if path.name != '__init__.py' and sentence:
                name, words = nodes.literal(text=path.stem), nodes.Text(f': {sentence}')
                listing += nodes.list_item('', nodes.paragraph('', '', name, words))
        return [listing]


def setup(app: Any) -> dict[str, Any]:
    """Tell Sphinx of it."""
    app.add_directive('module-map', ModuleMap)
    return {'parallel_read_safe': True}

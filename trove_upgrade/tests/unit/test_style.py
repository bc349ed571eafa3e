# SPDX-License-Identifier: Apache-2.0
"""Figures of how the product's code is written, which the formatter and the linter do not keep."""

import ast
import functools
import io
import pathlib
import re
import tokenize
from collections.abc import Iterator

import trove_upgrade
from trove_upgrade.tests.unit import base

PACKAGE = pathlib.Path(trove_upgrade.__file__).parent
LABORATORY = PACKAGE.parent / 'lab'
CLIENT = PACKAGE.parent / 'client' / 'troveupgradeclient'
WIDTH = 100
LONGEST_MODULE, LONGEST_FUNCTION = 400, 40
#: Fields of a dataclass that may be given by their places.
MOST_BY_PLACE = 3
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
#: A sentence that begins so leaves open what the thing is.
_QUESTION = re.compile(r'(what|who|whether|how|why)\b', re.IGNORECASE)
#: Neither a verb nor a noun.  An article, "each", "all" or "one" begins a noun.
_NO_VERB_NO_NOUN = re.compile(
    r"""[`'"]*(
    when|where|which|that|this|these|those|it|they|there|the\ same
    |none|nothing|something|everything|anything|others|true|false
    |is|are|was|were|can|could|may|must|should
    |as|of|for|by|with|without|in|inside|on|into|onto|at|from|to|until|since|while|during|within
    |under|over|through|across|against|among|beyond|between|beside|before|behind|after|above|below
    |than|but|if|unless|because|though|although|and|or|yet|so
    |not|no|never|only|also|even|still|again|once|too|more|most|less|just|always|already|soon
    |directly|durably|made|held|asked|called|taken|brought|written|published|bound|told
    |:raises
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
#: Sentences with these name no actor.
_UNNAMED = re.compile(
    r'\b(somebody|nobody|whoever|anybody|everybody|someone|anyone|he|him|his|she|her)\b',
    re.IGNORECASE,
)


def modules() -> Iterator[pathlib.Path]:
    """Yield each module of the product."""
    for folder in (PACKAGE, LABORATORY, CLIENT):
        for path in sorted(folder.rglob('*.py')):
            if 'tests' not in path.relative_to(folder).parts:
                yield path


def sources() -> Iterator[str]:
    """Yield the text of each."""
    return (path.read_text() for path in modules())


@functools.cache
def nodes() -> tuple[tuple[pathlib.Path, ast.AST], ...]:
    """Return all of each module, with its path."""
    return tuple(
        (path, node) for path in modules() for node in ast.walk(ast.parse(path.read_text()))
    )


@functools.cache
def docstrings() -> tuple[str, ...]:
    """Return all of them."""
    found = (ast.get_docstring(node) for _, node in nodes() if isinstance(node, _DOCUMENTED))
    return tuple(one for one in found if one)


class TestStyle(base.TestCase):
    def test_hardly_a_line_is_wider_than_the_formatters_width(self):
        lines = [line for source in sources() for line in source.splitlines()]
        wide = [line for line in lines if len(line) > WIDTH]
        self.assertLess(10_000, len(lines))
        self.assertLessEqual(len(wide) / len(lines), 0.01, wide)

    def test_docstrings_begin_with_a_verb_or_a_noun(self):
        found = docstrings()
        questions = [one for one in found if _QUESTION.match(one)]
        open_wrongly = [one for one in found if _NO_VERB_NO_NOUN.match(one)]
        self.assertLess(1_000, len(found))
        self.assertEqual([], questions)
        self.assertLessEqual(len(open_wrongly) / len(found), 0.01, open_wrongly)

    def test_comments_docstrings_and_messages_name_their_actors(self):
        unnamed = [
            (path, token.start[0], token.string)
            for path in modules()
            for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
            if token.type in {tokenize.COMMENT, tokenize.STRING}
            and _UNNAMED.search(token.string)
            and token.string.strip("'") != 'nobody'  # the account of that name
        ]
        self.assertEqual([], unnamed)

    def test_pages_do(self):
        project = PACKAGE.parent
        pages = [project / 'README.rst', *sorted((project / 'doc' / 'source').rglob('*.rst'))]
        unnamed = [(page, word) for page in pages for word in _UNNAMED.findall(page.read_text())]
        self.assertLess(20, len(pages))
        self.assertEqual([], unnamed)

    def test_a_method_without_a_docstring_is_one_that_its_port_describes(self):
        described, silent = _described_methods(), []
        for path, node in nodes():
            if isinstance(node, ast.ClassDef) and not node.name.startswith('_'):
                silent += [
                    (path, node.name, method.name)
                    for method in _methods(node)
                    if not method.name.startswith('_')
                    and ast.get_docstring(method) is None
                    and method.name not in described
                ]
        self.assertEqual([], silent)

    def test_no_module_is_longer_than_a_reader_takes_in(self):
        long = [path for path in modules() if len(path.read_text().splitlines()) > LONGEST_MODULE]
        self.assertEqual([], long)

    def test_no_function_is(self):
        long = [
            (path, node.name)
            for path, node in nodes()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.end_lineno - node.lineno >= LONGEST_FUNCTION
        ]
        self.assertEqual([], long)

    def test_a_record_of_many_fields_is_made_by_their_names(self):
        """Two of one type could change places unseen."""
        by_place = [
            (path, node.name)
            for path, node in nodes()
            if isinstance(node, ast.ClassDef)
            and any(_takes_places(decorator) for decorator in node.decorator_list)
            and len(_fields(node)) > MOST_BY_PLACE
        ]
        self.assertEqual([], by_place)


def _methods(node: ast.ClassDef) -> list[ast.FunctionDef]:
    return [one for one in node.body if isinstance(one, ast.FunctionDef)]


def _described_methods() -> set[str]:
    """Return the methods with a docstring of all Protocols and all classes that others extend."""
    classes = [node for _, node in nodes() if isinstance(node, ast.ClassDef)]
    extended = {ast.unparse(base).rpartition('.')[2] for node in classes for base in node.bases}
    return {
        method.name
        for node in classes
        if node.name in extended or 'Protocol' in map(ast.unparse, node.bases)
        for method in _methods(node)
        if ast.get_docstring(method) is not None
    }


def _takes_places(decorator: ast.expr) -> bool:
    text = ast.unparse(decorator)
    return text.startswith('dataclasses.dataclass') and 'kw_only=True' not in text


def _fields(node: ast.ClassDef) -> list[str]:
    return [
        ast.unparse(one.target)
        for one in node.body
        if isinstance(one, ast.AnnAssign)
        and not (one.value is not None and 'init=False' in ast.unparse(one.value))
    ]

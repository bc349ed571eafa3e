# SPDX-License-Identifier: Apache-2.0
"""Directive `state-moves`: states of an upgrade and what may follow each, read from the code."""

import inspect
from typing import Any

from docutils import nodes
from sphinx.pycode import ModuleAnalyzer
from svg import LINE, Canvas, Drawing, register, wrapped

from trove_upgrade.domain import states
from trove_upgrade.domain.states import UpgradeState

_WIDTH, _GAP_X, _GAP_Y = 210.0, 26.0, 60.0
_APART = 12.0  #: of two arrows, there and back


def rows() -> list[list[UpgradeState]]:
    """Return the states by the least number of moves that lead to each."""
    found, row = [[UpgradeState.PENDING]], {UpgradeState.PENDING}
    while row:
        seen = {state for each in found for state in each}
        row = set().union(*(states.MOVES[state] for state in row)) - seen
        found += [[state for state in states.MOVES if state in row]] if row else []
    return found


def meanings() -> dict[UpgradeState, str]:
    """Return the comment of each state in the code."""
    documented = ModuleAnalyzer.for_module(states.__name__).find_attr_docs()
    return {
        state: ' '.join(documented[UpgradeState.__name__, state.name]).strip()
        for state in UpgradeState
    }


def _kind(state: UpgradeState) -> str:
    if state in states.ACTIVE:
        return 'busy'
    if states.MOVES[state]:
        return 'bad'
    return 'good' if state is UpgradeState.COMPLETED else 'other'


class StateMoves(Drawing):
    """`.. state-moves::`, which takes nothing but its alternative text."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        """Draw anew where the code has changed."""
        environment: Any = self.state.document.settings.env
        environment.note_dependency(inspect.getfile(states))
        return super().run()

    def draw(self) -> Canvas:
        """Draw a row of boxes per number of moves, and an arrow per move."""
        meaning = meanings()
        lines = {state: wrapped(meaning[state], _WIDTH - 16) for state in UpgradeState}
        height = (max(len(each) for each in lines.values()) + 1) * LINE + 14
        grid = rows()
        columns = max(len(row) for row in grid)
        canvas = Canvas(columns * (_WIDTH + _GAP_X) - _GAP_X + 2)
        corners = {
            state: (1 + column * (_WIDTH + _GAP_X), 1 + line * (height + _GAP_Y))
            for line, row in enumerate(grid)
            for column, state in enumerate(row)
        }
        for state, (x, y) in corners.items():
            canvas.box((x, y), (_WIDTH, height), _kind(state))
            canvas.text(x + _WIDTH / 2, y + LINE + 3, state.value, 'strong middle')
            middle = y + LINE + 5 + (height - LINE - 5) / 2
            canvas.lines(x + _WIDTH / 2, middle, lines[state], 'small middle')
        for state, following in states.MOVES.items():
            for after in sorted(following):
                self._connect(canvas, corners, height, (state, after))
        return canvas

    @staticmethod
    def _connect(
        canvas: Canvas,
        corners: dict[UpgradeState, tuple[float, float]],
        height: float,
        move: tuple[UpgradeState, UpgradeState],
    ) -> None:
        """Draw the arrow of a move from border to border."""
        (x, y), (to_x, to_y) = corners[move[0]], corners[move[1]]
        aside = _APART if move[0] in states.MOVES[move[1]] else 0.0
        if y == to_y:
            right = to_x > x
            level = y + height / 2 + (aside if right else -aside)
            canvas.arrow((x + _WIDTH * right, level), (to_x + _WIDTH * (not right), level))
            return
        down = to_y > y
        middle, to_middle = x + _WIDTH / 2, to_x + _WIDTH / 2
        farthest = _WIDTH * 0.3
        lean = max(-farthest, min(farthest, (to_middle - middle) * 0.25))
        aside = aside if down else -aside
        start = middle + lean + aside, y + height * down
        canvas.arrow(start, (to_middle - lean + aside, to_y + height * (not down)))


def setup(app: Any) -> dict[str, Any]:
    """Tell Sphinx of it."""
    return register(app, 'state-moves', StateMoves)

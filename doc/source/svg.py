# SPDX-License-Identifier: Apache-2.0
"""Shapes of the drawings on the pages, as SVG within the page: nothing has to be installed to make
it, and nothing is fetched to show it.

Colours and fonts are in `_static/drawings.css`.
"""

import abc
import html
import math
import textwrap
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive, directives
from sphinx import addnodes

LINE = 17  #: from one line of text to the next
#: Width of a letter, with room to spare: fonts differ from machine to machine.
LETTER = 6.9
_HEAD = 8.0
#: Share of a drawing's own width that a narrow screen shows, and scrolls.
_NARROWEST = 0.72

Point = tuple[float, float]


def wrapped(text: str, width: float) -> list[str]:
    """Return the lines of a text in a box of this width."""
    return textwrap.wrap(text, max(int(width / LETTER), 8), break_long_words=False)


class Canvas:
    """Collects shapes; what is drawn first lies below."""

    def __init__(self, width: float) -> None:
        self.width = width
        self.height = 0.0
        self._shapes: list[str] = []

    def _add(self, shape: str, bottom: float) -> None:
        self._shapes.append(shape)
        self.height = max(self.height, bottom)

    def text(self, x: float, y: float, words: str, kind: str = '') -> None:
        """Write one line; `y` is where its letters stand."""
        self._add(f'<text class="{kind}" x="{x:g}" y="{y:g}">{html.escape(words)}</text>', y + 5)

    def lines(self, x: float, y: float, lines: list[str], kind: str = '') -> None:
        """Write several, the middle of all at `y`."""
        first = y + 4.5 - (len(lines) - 1) * LINE / 2
        for position, line in enumerate(lines):
            self.text(x, first + position * LINE, line, kind)

    def box(self, corner: Point, size: Point, kind: str = 'box') -> None:
        """Draw a rectangle from its upper left corner."""
        (x, y), (width, height) = corner, size
        place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
        self._add(f'<rect class="{kind}" {place} rx="4"/>', y + height + 1)

    def line(self, start: Point, end: Point, kind: str = 'line') -> None:
        """Draw a straight line."""
        (x, y), (to_x, to_y) = start, end
        place = f'x1="{x:g}" y1="{y:g}" x2="{to_x:g}" y2="{to_y:g}"'
        self._add(f'<line class="{kind}" {place}/>', max(y, to_y) + 1)

    def arrow(self, start: Point, end: Point, kind: str = 'line') -> None:
        """Draw a straight line with a head at its end."""
        length = math.dist(start, end) or 1.0
        across, down = (end[0] - start[0]) / length, (end[1] - start[1]) / length
        neck = end[0] - across * _HEAD, end[1] - down * _HEAD
        self.line(start, neck, kind)
        wing = _HEAD / 2
        corners = (
            end,
            (neck[0] - down * wing, neck[1] + across * wing),
            (neck[0] + down * wing, neck[1] - across * wing),
        )
        points = ' '.join(f'{x:.1f},{y:.1f}' for x, y in corners)
        self._add(f'<polygon class="head" points="{points}"/>', max(y for _, y in corners))

    def render(self, alternative: str) -> str:
        """Return the drawing, with its text for readers who do not see it."""
        width, height = self.width, math.ceil(self.height + 4)
        style = f'min-width:{width * _NARROWEST:.0f}px;max-width:{width:g}px;width:100%'
        head = f'<svg viewBox="0 0 {width:g} {height:g}" role="img" style="{style}"'
        title = html.escape(alternative, quote=True)
        body = '\n'.join(self._shapes)
        return (
            f'<div class="drawing" tabindex="0">{head} aria-label="{title}">\n{body}\n</svg></div>'
        )


class Drawing(abc.ABC, Directive):
    """Begins a directive that draws; its option `:alt:` must be there."""

    has_content = True
    option_spec: ClassVar = {'alt': directives.unchanged_required}

    @abc.abstractmethod
    def draw(self) -> Canvas:
        """Return the drawing."""

    def run(self) -> list[nodes.Node]:
        """Make SVG for pages, and the alternative text for every other form."""
        alternative = ' '.join(self.options.get('alt', '').split())
        if not alternative:
            raise self.error('A drawing needs a sentence in its option :alt:')
        try:
            image = self.draw().render(alternative)
        except (ValueError, KeyError) as exc:
            raise self.error(f'Cannot be drawn: {exc}') from exc
        elsewhere = addnodes.only(expr='not html')
        elsewhere += nodes.paragraph(text=alternative)
        return [nodes.raw('', image, format='html'), elsewhere]


def register(app: Any, name: str, directive: type[Drawing]) -> dict[str, Any]:
    """Tell Sphinx of a drawing."""
    app.add_directive(name, directive)
    return {'parallel_read_safe': True}

# SPDX-License-Identifier: Apache-2.0
"""Directive `time-bars`: what lasts from when to when, one bar a line.

`quiesce | 1.7 3.5 | busy | words` is the bar of quiesce, from 1.7 to 3.5, in the colour of
`busy`.  A line without a name goes on with the row before.  The option `:ticks:` names moments:
`0 = begin; 5 = 5 s`.
"""

from typing import Any, ClassVar

from docutils.parsers.rst import directives
from svg import LETTER, LINE, Canvas, Drawing, register, wrapped

_LABEL, _AXIS, _BAR, _GAP = 150.0, 520.0, 26.0, 10.0
_TICK = 84.0  #: of room for the words of a moment


class TimeBars(Drawing):
    """Bars over one axis, from the first moment to the last."""

    option_spec: ClassVar = {**Drawing.option_spec, 'ticks': directives.unchanged_required}

    def draw(self) -> Canvas:
        """Draw the moments as lines across, and the bars over them."""
        ticks = [each.partition('=') for each in self.options['ticks'].split(';')]
        moments = {float(when): words.strip() for when, _, words in ticks}
        self._first = min(moments)
        self._scale = _AXIS / (max(moments) - self._first)
        canvas = Canvas(_LABEL + _AXIS + _TICK / 2)
        labels = {when: wrapped(words, _TICK) for when, words in moments.items()}
        top = max(len(lines) for lines in labels.values()) * LINE + 10
        lines = [line for line in (each.strip() for each in self.content) if line]
        rows = sum(not line.startswith('|') for line in lines)
        for when, words in labels.items():
            x = self._place(when)
            canvas.line((x, top), (x, top + rows * (_BAR + _GAP) + 4), 'faint')
            canvas.lines(x, (top - 8) / 2, words, 'small middle')
        y = top - _BAR
        for line in lines:
            name, when, kind, words = (part.strip() for part in (line + '||').split('|')[:4])
            y += (_BAR + _GAP) if name else 0
            canvas.lines(_LABEL - 10, y + _BAR / 2, wrapped(name, _LABEL - 14), 'end')
            start, end = (float(moment) for moment in when.split())
            self._bar(canvas, y, (start, end), (kind or 'busy', words))
        return canvas

    def _place(self, when: float) -> float:
        return _LABEL + (when - self._first) * self._scale

    def _bar(
        self, canvas: Canvas, y: float, span: tuple[float, float], content: tuple[str, str]
    ) -> None:
        """Draw one, its words inside or else where there is room beside it."""
        kind, words = content
        x, to_x = (self._place(moment) for moment in span)
        canvas.box((x, y), (max(to_x - x, 3), _BAR), kind)
        length, level = len(words) * LETTER, y + _BAR / 2 + 4.5
        if length < to_x - x:
            canvas.text((x + to_x) / 2, level, words, 'small middle')
        elif to_x + 6 + length < canvas.width:
            canvas.text(to_x + 6, level, words, 'small')
        else:
            canvas.text(x - 6, level, words, 'small end')


def setup(app: Any) -> dict[str, Any]:
    """Tell Sphinx of it."""
    return register(app, 'time-bars', TimeBars)

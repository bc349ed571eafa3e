# SPDX-License-Identifier: Apache-2.0
"""Directive `message-sequence`: who sends what to whom, one message a line, from above to below.

`API -> database: words` is a message, `-->` an answer, `guest: words` something that one does by
itself, `[step]` a new section; `begin words` and `end` put a band behind the lines between them.
"""

import re
from typing import Any, ClassVar

from docutils.parsers.rst import directives
from svg import LETTER, LINE, Canvas, Drawing, register, wrapped

_LANE, _MARGIN, _TOP = 140.0, 84.0, 40.0
_MESSAGE = re.compile(r'(?P<sender>.+?)\s*(?P<arrow>-->|->)\s*(?P<to>.+?):\s*(?P<words>.+)')
_ALONE = re.compile(r'(?P<actor>[^:]+):\s*(?P<words>.+)')


class MessageSequence(Drawing):
    """A lane per actor of the option `:actors:`, which are separated by commas."""

    option_spec: ClassVar = {**Drawing.option_spec, 'actors': directives.unchanged_required}

    def draw(self) -> Canvas:
        """Draw the lines one below the other; bands and lanes lie below them."""
        actors = [actor.strip() for actor in self.options['actors'].split(',')]
        self._lanes = {actor: _MARGIN + _LANE * (place + 0.5) for place, actor in enumerate(actors)}
        width = _MARGIN + _LANE * len(actors)
        plan = Canvas(width)  # tells the heights, which the bands need before anything is drawn
        bands = self._write(plan)
        canvas = Canvas(width)
        for top, bottom, words in bands:
            canvas.box((_MARGIN - 4, top), (width - _MARGIN + 2, bottom - top), 'bad')
            canvas.text(_MARGIN + 4, top + LINE, words, 'strong')
        for actor, x in self._lanes.items():
            canvas.line((x, 30), (x, plan.height), 'faint')
            canvas.box((x - _LANE / 2 + 8, 1), (_LANE - 16, 28))
            canvas.text(x, 20, actor, 'strong middle')
        self._write(canvas)
        return canvas

    def _write(self, canvas: Canvas) -> list[tuple[float, float, str]]:
        """Write all lines, and return the bands."""
        y, bands, begun = _TOP, [], (0.0, '')
        for line in filter(None, (each.strip() for each in self.content)):
            if line.startswith('begin '):
                begun = y + 4, line.removeprefix('begin ')
            elif line == 'end':
                bands.append((begun[0], y + 6, begun[1]))
            elif line.startswith('['):
                canvas.line((0, y + 12), (canvas.width, y + 12), 'faint')
                canvas.text(4, y + 28, line.strip('[]'), 'strong')
                y += 14
            elif message := _MESSAGE.fullmatch(line):
                y = self._message(canvas, y, message)
            elif alone := _ALONE.fullmatch(line):
                y = self._alone(canvas, y, alone['actor'], alone['words'])
            else:
                raise ValueError(line)
        return bands

    def _message(self, canvas: Canvas, y: float, message: re.Match[str]) -> float:
        start, end = self._lanes[message['sender']], self._lanes[message['to']]
        lines = wrapped(message['words'], max(abs(end - start), _LANE) - 12)
        level = y + LINE * len(lines) + 10
        canvas.lines((start + end) / 2, level - 4 - LINE * len(lines) / 2, lines, 'small middle')
        side = 1 if end > start else -1
        kind = 'line answer' if message['arrow'] == '-->' else 'line'
        canvas.arrow((start + 2 * side, level), (end - 2 * side, level), kind)
        return level

    def _alone(self, canvas: Canvas, y: float, actor: str, words: str) -> float:
        x = self._lanes[actor]
        lines = wrapped(words, _LANE - 14)
        height = LINE * len(lines) + 8
        longest = max(len(line) for line in lines) * LETTER + 16
        width = min(max(longest, 60), _LANE - 10)
        canvas.box((x - width / 2, y + 10), (width, height), 'busy')
        canvas.lines(x, y + 10 + height / 2, lines, 'small middle')
        return y + 10 + height


def setup(app: Any) -> dict[str, Any]:
    """Tell Sphinx of it."""
    return register(app, 'message-sequence', MessageSequence)

# SPDX-License-Identifier: Apache-2.0
"""Directive `disk-map`: what lies on which disk, one thing a line, and what becomes of it.

`kept | former | volume | new` has a cell per disk of the option `:disks:`.  The first word says the
colour; `carried` also has arrows from each cell with words to the next one of its line.
"""

from typing import Any, ClassVar

from docutils.parsers.rst import directives
from svg import LINE, Canvas, Drawing, register, wrapped

_WIDTH, _GAP = 216.0, 34.0
_KINDS = {'kept': 'good', 'carried': 'busy', 'new': 'other', 'gone': 'bad'}


class DiskMap(Drawing):
    """A column per disk, in the order of time."""

    option_spec: ClassVar = {**Drawing.option_spec, 'disks': directives.unchanged_required}

    def draw(self) -> Canvas:
        """Draw the disks behind their things."""
        disks = [disk.strip() for disk in self.options['disks'].split(',')]
        width = len(disks) * (_WIDTH + _GAP) - _GAP + 2
        plan = Canvas(width)  # tells the height, which the disks need before anything is drawn
        self._write(plan, len(disks))
        canvas = Canvas(width)
        for place, disk in enumerate(disks):
            x = 1 + place * (_WIDTH + _GAP)
            canvas.box((x, 1), (_WIDTH, plan.height + 10))
            canvas.text(x + _WIDTH / 2, 22, disk, 'strong middle')
        self._write(canvas, len(disks))
        return canvas

    def _write(self, canvas: Canvas, disks: int) -> None:
        y = 34.0
        for line in filter(None, (each.strip() for each in self.content)):
            kind, *cells = (part.strip() for part in line.split('|'))
            if len(cells) != disks:
                raise ValueError(line)
            lines = [wrapped(cell, _WIDTH - 24) for cell in cells]
            height = max(len(each) for each in lines) * LINE + 10
            before = None
            for place, words in enumerate(lines):
                x = 1 + place * (_WIDTH + _GAP)
                if not words:
                    continue
                canvas.box((x + 8, y), (_WIDTH - 16, height), _KINDS[kind])
                canvas.lines(x + _WIDTH / 2, y + height / 2, words, 'small middle')
                if before is not None and kind == 'carried':
                    canvas.arrow((before, y + height / 2), (x + 7, y + height / 2))
                before = x + _WIDTH - 7
            y += height + 9


def setup(app: Any) -> dict[str, Any]:
    """Tell Sphinx of it."""
    return register(app, 'disk-map', DiskMap)

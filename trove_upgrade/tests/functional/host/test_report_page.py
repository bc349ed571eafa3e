# SPDX-License-Identifier: Apache-2.0
"""The report of a run as a real browser shows it: on a phone and on a wide screen, light and dark,
with names that tenants may have given.
"""

import os
import pathlib
import re

import fixtures

from trove_upgrade.bridge.report.page import page
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host.browser import Browser
from trove_upgrade.tests.unit.bridge.report import samples

PHONE, WIDE = 360, 1400
#: Of text of that size, by the Web Content Accessibility Guidelines (AA).
LEAST_CONTRAST = 4.5
#: Folder that keeps a picture of each page, for a person.
PICTURES = 'TROVE_UPGRADE_TEST_PICTURES'

_BOXES = """
return Array.from(document.querySelectorAll(arguments[0]), one => {
  const box = one.getBoundingClientRect();
  return [one.id || one.className, box.width, box.height, box.left, box.right];
});
"""
_COLOURS = """
function behind(one) {
  for (; one; one = one.parentElement) {
    const colour = getComputedStyle(one).backgroundColor;
    if (!/rgba\\(.*, 0\\)/.test(colour)) return colour;
  }
  return 'rgb(255, 255, 255)';
}
return Array.from(
  document.querySelectorAll('.badge, .tiles li, .note, .small, .facts span, summary, code, th, td'),
  one => [one.className || one.tagName, getComputedStyle(one).color, behind(one)]
);
"""


def luminance(colour):
    """Of "rgb(1, 2, 3)"; source: WCAG 2.2, relative luminance."""
    parts = [int(part) / 255 for part in re.findall(r'\d+', colour)[:3]]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


class TestReportPage(base.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = Browser()
        cls.browser.setUp()
        cls.addClassCleanup(cls.browser.cleanUp)
        cls.report = samples.report_of_every_kind()
        cls.text = page(cls.report)

    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'report.html')
        self.path.write_text(self.text, encoding='utf-8')
        self.browser.requests()
        self.browser.console()

    def shown(self, width, *, is_dark=False):
        self.browser.show(self.path, width, is_dark=is_dark)
        self.keep_picture(f'{width}-{"dark" if is_dark else "light"}')

    def keep_picture(self, name):
        folder = os.environ.get(PICTURES)
        if folder:
            self.browser.picture(pathlib.Path(folder, f'{name}.png'))

    def assert_fits(self, width):
        self.assertEqual(width, self.browser.run('return innerWidth'))
        self.assertLessEqual(self.browser.run('return document.documentElement.scrollWidth'), width)

    def assert_all_is_visible(self, width):
        shown = self.browser.run(_BOXES, '.instance')
        self.assertEqual(
            [f'i-{one.member.instance_id}' for one in self.report.instances],
            [name for name, *_ in shown],
        )
        cells = self.browser.run(_BOXES, 'tbody td, .note, .tiles li, .waves li')
        self.assertLess(5 * len(shown), len(cells))
        for name, wide, high, left, right in [*shown, *cells]:
            self.assertGreater(min(wide, high), 0, name)
            self.assertGreaterEqual(left, 0, name)
            self.assertLessEqual(right, width, name)

    def test_a_phone_shows_every_instance_and_never_scrolls_sideways(self):
        self.shown(PHONE)
        self.assert_fits(PHONE)
        self.assert_all_is_visible(PHONE)
        self.assertEqual('block', self.display_of('.instance td'), 'cards')

    def test_so_does_a_wide_screen_where_instances_are_rows_of_a_table(self):
        self.shown(WIDE)
        self.assert_fits(WIDE)
        self.assert_all_is_visible(WIDE)
        self.assertEqual('table-cell', self.display_of('.instance td'))

    def display_of(self, selector):
        script = 'return getComputedStyle(document.querySelector(arguments[0])).display'
        found = self.browser.run(script, selector)
        return 'block' if found == 'grid' else found

    def test_each_text_can_be_read_on_its_colour_by_day_and_by_night(self):
        backgrounds = []
        for is_dark in (False, True):
            self.shown(WIDE, is_dark=is_dark)
            colours = {tuple(one) for one in self.browser.run(_COLOURS)}
            badges = [one for one in colours if 'badge' in one[0]]
            self.assertEqual(len(self.report.totals.outcomes), len(badges))
            for name, text, behind in colours:
                self.assertGreaterEqual(
                    contrast(text, behind), LEAST_CONTRAST, (name, text, behind, is_dark)
                )
            backgrounds.append(
                self.browser.run('return getComputedStyle(document.body).backgroundColor')
            )
        light, dark = backgrounds
        self.assertGreater(luminance(light), 0.8)
        self.assertLess(luminance(dark), 0.1)

    def test_nothing_is_asked_of_the_network_and_nothing_is_wrong_on_the_console(self):
        self.browser.show(self.path, WIDE)
        self.assertEqual([(self.path.as_uri(), None)], self.browser.requests())
        self.assertEqual([], self.browser.console())

    def test_names_of_tenants_are_text_and_nothing_else(self):
        self.browser.show(self.path, WIDE)
        active = 'script, img, iframe, link, object, embed, form, base, style + style'
        self.assertEqual([], self.browser.run(_BOXES, active))
        names = self.browser.run(
            'return Array.from(document.querySelectorAll(".name"), one => one.textContent)'
        )
        for name in samples.HOSTILE:
            if name.isprintable():
                self.assertIn(name, names)
        self.assertNotIn('\u202e', ''.join(names))

    def test_what_would_reach_the_network_is_forbidden_and_would_be_noticed(self):
        image = 'http://192.0.2.1/x.png'  # of no host
        smuggled = f'<img src="{image}"><script>document.title = "run"</script>'
        self.path.write_text(self.text.replace('<main>', f'<main>{smuggled}'), encoding='utf-8')
        self.browser.show(self.path, WIDE)
        requests = [(self.path.as_uri(), None), (image, 'csp')]
        self.assertEqual(requests, self.browser.requests())
        self.assertNotEqual('run', self.browser.run('return document.title'))
        self.assertEqual(2, len(self.browser.console()))

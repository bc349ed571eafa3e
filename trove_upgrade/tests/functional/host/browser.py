# SPDX-License-Identifier: Apache-2.0
"""Debian's Chromium without a window, driven by Selenium: what a page asks the network for, and
what it writes on the console, are its own log.
"""

import json
import logging
import pathlib

import fixtures
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

BROWSER, DRIVER = '/usr/bin/chromium', '/usr/bin/chromedriver'
_PHONE = 600


class Browser(fixtures.Fixture):
    """One browser with a profile of its own."""

    def _setUp(self):
        for name in ('selenium', 'urllib3'):  # each whole answer
            logging.getLogger(name).setLevel(logging.INFO)
        home = self.useFixture(fixtures.TempDir()).path
        options = Options()
        options.binary_location = BROWSER
        for word in (
            '--headless=new',
            '--no-sandbox',  # root has none
            '--disable-dev-shm-usage',
            '--disable-gpu',
            '--no-proxy-server',
            f'--user-data-dir={pathlib.Path(home, "profile")}',
        ):
            options.add_argument(word)
        options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
        service = Service(DRIVER, env={'HOME': home, 'PATH': '/usr/bin:/bin', 'TMPDIR': home})
        self.driver = webdriver.Chrome(options=options, service=service)
        self.addCleanup(self.driver.quit)

    def show(self, path, width, *, is_dark=False):
        """Load a file in a window of this width; a narrow one is a phone's."""
        self._tell(
            'Emulation.setDeviceMetricsOverride',
            width=width,
            height=800,
            deviceScaleFactor=1,
            mobile=width < _PHONE,
        )
        scheme = {'name': 'prefers-color-scheme', 'value': 'dark' if is_dark else 'light'}
        self._tell('Emulation.setEmulatedMedia', features=[scheme])
        self.driver.get(path.as_uri())

    def run(self, script, *values):
        """What a function body returns in the page."""
        return self.driver.execute_script(script, *values)

    def requests(self):
        """What was asked for since this was called last: each address, and what forbade it."""
        found, forbidden = {}, {}
        for entry in self.driver.get_log('performance'):
            event = json.loads(entry['message'])['message']
            if event['method'] == 'Network.requestWillBeSent':
                found[event['params']['requestId']] = event['params']['request']['url']
            elif event['method'] == 'Network.loadingFailed':
                forbidden[event['params']['requestId']] = event['params'].get('blockedReason')
        return [(url, forbidden.get(number)) for number, url in found.items()]

    def console(self):
        """What was written there since this was called last."""
        return [one['message'] for one in self.driver.get_log('browser')]

    def picture(self, path):
        """The whole page as PNG, for a person."""
        height = self.run('return document.documentElement.scrollHeight')
        width = self.run('return innerWidth')
        self._tell(
            'Emulation.setDeviceMetricsOverride',
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < _PHONE,
        )
        self.driver.save_screenshot(str(path))

    def _tell(self, command, **values):
        self.driver.execute_cdp_cmd(command, values)

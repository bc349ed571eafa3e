# SPDX-License-Identifier: Apache-2.0
"""The filter in the pipeline of Trove's own API under gunicorn's threads: what holds under the
other servers holds there.
"""

from trove_upgrade.tests.functional.cloud import test_trove_filter, trove_api, trove_case


class TestGunicorn(test_trove_filter.UnderServer, trove_case.TroveTestCase):
    server = trove_api.GUNICORN

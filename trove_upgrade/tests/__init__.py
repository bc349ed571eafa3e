# SPDX-License-Identifier: Apache-2.0
"""Tests run on native threads, as our programs do: chosen here, before any of them imports
oslo.messaging.
"""

from trove_upgrade.wsgi import threads

threads.choose()

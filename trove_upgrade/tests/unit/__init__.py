# SPDX-License-Identifier: Apache-2.0
"""Generated examples have no deadline and no health check: how busy the machine is must not decide
a test.
"""

import hypothesis

hypothesis.settings.register_profile(
    'trove-upgrade',
    max_examples=60,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.load_profile('trove-upgrade')

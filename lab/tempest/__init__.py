# SPDX-License-Identifier: Apache-2.0
"""OpenStack's own acceptance tests, tempest and Trove's plug-in for it, as released and unmodified,
against the running cloud.

For callers::

    done = acceptance.run(stage, acceptance.Versions(former.name, newer.name), regex, directory)
    done.passed, done.failed, done.skipped, done.output
"""

# SPDX-License-Identifier: Apache-2.0
"""Real Trove on the running cloud: starting and stopping it, registering versions, creating
instances with the unmodified client.
"""

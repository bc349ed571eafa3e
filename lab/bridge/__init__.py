# SPDX-License-Identifier: Apache-2.0
"""Old clouds for the bridge: guests from before the upgrade feature, closed networks."""

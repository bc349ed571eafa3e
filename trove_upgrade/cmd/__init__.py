# SPDX-License-Identifier: Apache-2.0
"""One module per console script, which `scripts` loads: they compose, and are imported by
nothing.
"""

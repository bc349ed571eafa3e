# SPDX-License-Identifier: Apache-2.0
"""One module per console script: they compose, and nobody imports them."""

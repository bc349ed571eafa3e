# SPDX-License-Identifier: Apache-2.0
"""Programs that we start, and the packages that have them."""

# SPDX-License-Identifier: Apache-2.0
"""Living with Trove's own agent in the same guest."""

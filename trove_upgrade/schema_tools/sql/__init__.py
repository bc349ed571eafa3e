# SPDX-License-Identifier: Apache-2.0
"""Reader of SQL text, as far as revisions are made of it: of the linter, the probe and the plan."""

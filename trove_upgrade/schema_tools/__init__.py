# SPDX-License-Identifier: Apache-2.0
"""Tools around the migrations, of which no service runs anything: the linter of revisions, the
writer of revisions, and the plan of locks that a run would take.
"""

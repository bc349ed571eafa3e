# SPDX-License-Identifier: Apache-2.0
"""One module per service: its configuration, its processes, how its database is made, and when it
is ready.

Every module that has them offers `configure(settings)`, `processes(settings)` and
`migrations(settings)`.
"""

#: Processes stop from the highest stage to the lowest: what others need goes last.
STAGE_STORES = 1
STAGE_IDENTITY = 2
STAGE_APIS = 3
STAGE_AGENTS = 4

# SPDX-License-Identifier: Apache-2.0
"""Places where a server of the MySQL family runs, whichever of them it is."""

# SPDX-License-Identifier: Apache-2.0
"""Our tables, Trove's tables as we read and write them, and one repository per noun."""

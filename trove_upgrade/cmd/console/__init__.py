# SPDX-License-Identifier: Apache-2.0
"""Parts that the programs for a terminal share: the tree of commands, the form of their answers,
and their end.
"""

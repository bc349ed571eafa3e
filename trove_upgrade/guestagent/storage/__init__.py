# SPDX-License-Identifier: Apache-2.0
"""The volume, the files on it, and the stash."""

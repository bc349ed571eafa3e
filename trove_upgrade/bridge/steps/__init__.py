# SPDX-License-Identifier: Apache-2.0
"""Steps of a member, a file each.  A step commits what it is about to do before it does it."""

# SPDX-License-Identifier: Apache-2.0
"""Steps of a member: `way_in` has open, reach and close, every other step a file of its own.  A
step commits what it is about to do before it does it.
"""

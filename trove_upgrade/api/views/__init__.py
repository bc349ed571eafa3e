# SPDX-License-Identifier: Apache-2.0
"""What answers look like: Trove's JSON where Trove has the resource,
the same manners where it has not.
"""

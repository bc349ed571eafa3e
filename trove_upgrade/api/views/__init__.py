# SPDX-License-Identifier: Apache-2.0
"""Forms of answers: Trove's JSON where Trove has the resource,
the same manners where it has not.
"""

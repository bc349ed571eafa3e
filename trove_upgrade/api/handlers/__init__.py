# SPDX-License-Identifier: Apache-2.0
"""Handlers of the routes, one module per noun.  A handler gets the call and the address' variables,
and answers or raises.
"""

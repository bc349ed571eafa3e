# SPDX-License-Identifier: Apache-2.0
"""Measures the unit tests of the core modules: one small change at a time, which they should
notice.
"""

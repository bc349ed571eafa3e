# SPDX-License-Identifier: Apache-2.0
"""`make bench-trove`: what is measured beside real Trove: stock Trove's work against ours, in one
run on one cloud.
"""

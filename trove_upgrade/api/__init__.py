# SPDX-License-Identifier: Apache-2.0
"""The HTTP API: a small application of its own, and a paste filter for Trove's pipeline,
over the same handlers.
"""

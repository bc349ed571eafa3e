# SPDX-License-Identifier: Apache-2.0
"""The guest's side of sealed messages: its key, its numbers, its reports."""

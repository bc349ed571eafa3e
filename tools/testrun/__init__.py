# SPDX-License-Identifier: Apache-2.0
"""Parts of run_tests.py: what runs, what it has come to, and which lines of it are shown."""

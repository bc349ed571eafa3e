# SPDX-License-Identifier: Apache-2.0
"""On the cloud as well, and longer: `make long`, before a release and before work on what they test
is called done.
"""

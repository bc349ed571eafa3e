# SPDX-License-Identifier: Apache-2.0
"""With real parts, a folder for each subject.  What takes longer than `make test` may has a module
whose name ends with `_long`: `make long` runs those, before a release and before work on what they
test is called done.
"""

# SPDX-License-Identifier: Apache-2.0
"""What an upgrade is, in pure Python: no input or output, and no import of our other packages."""

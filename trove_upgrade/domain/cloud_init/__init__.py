# SPDX-License-Identifier: Apache-2.0
"""User data as cloud-init reads it: forms of parts, archives, compression,
and the files that it writes.

Source: cloud-init 25.1 (Debian 13), cloudinit/user_data.py, handlers/__init__.py,
config/cc_write_files.py.
"""

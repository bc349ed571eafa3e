# SPDX-License-Identifier: Apache-2.0
"""Makes the bundle that the bridge brings into old guests: agent, libraries and Python in one
archive.

For callers::

    made = bundle.Maker(cache_dir, project_dir, HostCommands(), print).make(target_dir)

Python is compiled from Debian's source in a root of the oldest Debian that is supported, so that it
runs on that C library and all later ones.  What takes long is kept in the cache by a digest of what
it is made of: the root, the compiled Python, and the libraries.
"""

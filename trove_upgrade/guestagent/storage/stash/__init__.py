# SPDX-License-Identifier: Apache-2.0
"""The stash: what of the old root disk must survive, on the volume, and the way back.

A stash is a directory with two files: `content`, all bytes one after the other, and
`manifest.json`, which says what they are. No name and no link of the kept tree is ever a name or a
link on the volume, so nothing there can lead a reader astray, one sync covers all of it, and any
name that a file can have comes back the same.  The manifest's digest travels in upgrade_info; until
it has matched, nothing of the stash is believed.
"""

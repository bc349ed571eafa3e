# SPDX-License-Identifier: Apache-2.0
"""Report of a run: `building` makes it of what the database and Neutron have, `document`, `table`,
`page` and `lines` give it a form.
"""

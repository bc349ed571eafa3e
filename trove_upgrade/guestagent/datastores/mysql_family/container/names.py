# SPDX-License-Identifier: Apache-2.0
"""Names and places that Trove's agent has fixed, and ours beside them."""

#: Trove's own name for the container that clients reach.
DATABASE = 'database'
#: The isolated first start: another name, so that a program that watches the database does not take
#: it for that.
FIRST_START = 'trove-upgrade-first-start'
#: Where Trove binds the server's socket directory on the host, below the root.
SOCKET_DIRECTORY = 'var/lib/mysqld'
#: Where the container sees that directory.
SOCKETS_INSIDE = '/var/run/mysqld'
#: What the servers of the family take where the configuration names no socket, in the container.
DEFAULT_SOCKET = '/var/run/mysqld/mysqld.sock'

# SPDX-License-Identifier: Apache-2.0
"""A database that runs in Trove's container `database` inside the guest, and is upgraded as one of
a package is.

SQL goes over the server's socket, which Trove binds to a directory of the host; the server's
programs run in containers; to start and stop the server is to start and stop a container.
"""

# SPDX-License-Identifier: Apache-2.0
"""Places of the family in a guest: its volume, its configuration, and the units that run it."""

from trove_upgrade.guestagent.machine import service

#: Of the volume, below the root.  Source: trove/common/cfg.py, `mount_point` of the groups mysql
#: and mariadb (Trove 26).
MOUNT_POINT = 'var/lib/mysql'

#: Below /etc: the directory of its option files.
CONFIGURATION = 'mysql'

#: Those that exist on an image may run its server.
UNITS = (service.DATABASE, 'mariadb', 'mysql', 'mysqld')

#: Programs of a server that is installed, below the root.
SERVERS = ('usr/sbin/mariadbd', 'usr/sbin/mysqld', 'usr/libexec/mysqld')

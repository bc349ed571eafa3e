# SPDX-License-Identifier: Apache-2.0
"""Places of a root disk that its system executes or believes: nothing comes there from another root
disk.

The old root disk may have been taken over.  What comes back from it is read by the database server
alone, so a file has no business where a boot, a login, a timer, a package manager or an agent would
find it.  `doc/source/admin/what-is-kept.rst` has the same list.
"""

import fnmatch
import pathlib
import re
from collections.abc import Callable

#: Patterns of absolute paths; each stands for what is at it and all below it.  None has to be
#: there.
PLACES: tuple[str, ...] = (
    '/bin',
    '/boot',
    '/dev',
    '/efi',
    '/etc/*-release',
    '/etc/NetworkManager',
    '/etc/X11',
    '/etc/acpi',
    '/etc/aliases*',
    '/etc/alternatives',
    '/etc/anacrontab',
    '/etc/ansible',
    '/etc/apparmor*',
    '/etc/apt',
    '/etc/at.*',
    '/etc/audit',
    '/etc/bacula',
    '/etc/bash*',
    '/etc/binfmt.d',
    '/etc/ca-certificates*',
    '/etc/chef',
    '/etc/cinc',
    '/etc/cloud',
    '/etc/cni',
    '/etc/collectd*',
    '/etc/confexts*',
    '/etc/consul*',
    '/etc/containerd',
    '/etc/containers',
    '/etc/cron*',
    '/etc/crypto-policies',
    '/etc/crypttab',
    '/etc/csh*',
    '/etc/datadog*',
    '/etc/dbus-1',
    '/etc/debconf.conf',
    '/etc/default',
    '/etc/dhclient*',
    '/etc/dhcp',
    '/etc/dkms',
    '/etc/dnf',
    '/etc/doas.conf',
    '/etc/docker',
    '/etc/dpkg',
    '/etc/dracut*',
    '/etc/environment*',
    '/etc/ethers',
    '/etc/exim*',
    '/etc/exports*',
    '/etc/extensions*',
    '/etc/fail2ban',
    '/etc/filebeat',
    '/etc/fish',
    '/etc/fluent*',
    '/etc/fstab',
    '/etc/gdb',
    '/etc/gitconfig',
    '/etc/group*',
    '/etc/grub*',
    '/etc/gshadow*',
    '/etc/gss',
    '/etc/heat*',
    '/etc/hgrc',
    '/etc/host.conf',
    '/etc/hostname',
    '/etc/hosts*',
    '/etc/incron*',
    '/etc/inetd*',
    '/etc/init',
    '/etc/init.d',
    '/etc/initramfs*',
    '/etc/inittab',
    '/etc/inputrc',
    '/etc/issue*',
    '/etc/keepalived',
    '/etc/kernel',
    '/etc/krb5*',
    '/etc/ksh*',
    '/etc/kubernetes',
    '/etc/ld.so*',
    '/etc/ldap*',
    '/etc/letsencrypt/*.ini',
    '/etc/letsencrypt/renewal*',
    '/etc/libaudit.conf',
    '/etc/libvirt',
    '/etc/locale*',
    '/etc/localtime',
    '/etc/login*',
    '/etc/logrotate*',
    '/etc/logstash',
    '/etc/lvm',
    '/etc/machine-id',
    '/etc/mail*',
    '/etc/mailcap',
    '/etc/mdadm*',
    '/etc/metricbeat',
    '/etc/mke2fs.conf',
    '/etc/modprobe*',
    '/etc/modules*',
    '/etc/monit*',
    '/etc/motd',
    '/etc/mtab',
    '/etc/multipath*',
    '/etc/mysqlrouter*',
    '/etc/nagios*',
    '/etc/needrestart',
    '/etc/netplan',
    '/etc/network*',
    '/etc/nftables*',
    '/etc/nomad*',
    '/etc/nslcd*',
    '/etc/nsswitch.conf',
    '/etc/openvpn',
    '/etc/opt',
    '/etc/os-*',
    '/etc/pam*',
    '/etc/passwd*',
    '/etc/percona-toolkit*',
    '/etc/perl',
    '/etc/pip.conf',
    '/etc/pkcs11',
    '/etc/pki/ca-trust',
    '/etc/pki/java',
    '/etc/pki/nssdb',
    '/etc/pki/rpm*',
    '/etc/pki/tls/cert*',
    '/etc/pki/tls/openssl*',
    '/etc/polkit*',
    '/etc/portables',
    '/etc/postfix',
    '/etc/ppp',
    '/etc/profile*',
    '/etc/puppet*',
    '/etc/python*',
    '/etc/qemu*',
    '/etc/rc.d',
    '/etc/rc.local',
    '/etc/rc?.d',
    '/etc/request-key*',
    '/etc/resolv*',
    '/etc/rpm',
    '/etc/rsync*',
    '/etc/rsyslog*',
    '/etc/salt*',
    '/etc/screenrc',
    '/etc/securetty',
    '/etc/security',
    '/etc/selinux',
    '/etc/shadow*',
    '/etc/shells',
    '/etc/skel',
    '/etc/snmp',
    '/etc/ssh',
    '/etc/ssl/cert*',
    '/etc/ssl/openssl.cnf',
    '/etc/sssd',
    '/etc/subgid*',
    '/etc/subuid*',
    '/etc/sudo*',
    '/etc/sysconfig',
    '/etc/sysctl*',
    '/etc/systemd',
    '/etc/td-agent*',
    '/etc/telegraf*',
    '/etc/timezone',
    '/etc/tmpfiles.d',
    '/etc/tmux*',
    '/etc/trove*',
    '/etc/udev',
    '/etc/ufw',
    '/etc/update-motd.d',
    '/etc/vault-agent*',
    '/etc/vim',
    '/etc/wgetrc',
    '/etc/wireguard',
    '/etc/xdg',
    '/etc/xinetd*',
    '/etc/yum*',
    '/etc/zabbix*',
    '/etc/zsh*',
    '/home/*/.*',
    '/home/*/bin',
    '/initrd*',
    '/lib',
    '/lib32',
    '/lib64',
    '/libx32',
    '/opt/chef',
    '/opt/cinc',
    '/opt/guest-agent-venv',
    '/opt/puppetlabs',
    '/opt/trove*',
    '/proc',
    '/root',
    '/run',
    '/sbin',
    '/selinux',
    '/snap',
    '/srv/salt',
    '/sys',
    '/tmp',  # noqa: S108  # nosec B108 # a place that is judged: nothing is made there
    '/usr',
    '/var/backups',
    '/var/cache',
    '/var/lib/AccountsService',
    '/var/lib/NetworkManager',
    '/var/lib/apt',
    '/var/lib/cloud',
    '/var/lib/confexts*',
    '/var/lib/containerd',
    '/var/lib/containers',
    '/var/lib/dbus',
    '/var/lib/dhcp*',
    '/var/lib/dkms',
    '/var/lib/docker*',
    '/var/lib/dpkg',
    '/var/lib/extensions*',
    '/var/lib/machines',
    '/var/lib/pam',
    '/var/lib/polkit*',
    '/var/lib/portables',
    '/var/lib/puppet*',
    '/var/lib/rpm',
    '/var/lib/snapd',
    '/var/lib/sudo',
    '/var/lib/systemd',
    '/var/lib/trove*',
    '/var/lib/ucf',
    '/var/mail',
    '/var/ossec',
    '/var/run',
    '/var/spool',
    '/var/tmp',  # noqa: S108  # nosec B108 # a place that is judged: nothing is made there
    '/vmlinuz*',
)

#: What lies directly in /etc may be a program's own file, of a program that comes later.  These
#: names are of databases and their keys.
_OF_DATABASES = re.compile(
    (
        r'(?:^|[-_.])(?:my|mysql|mariadb|percona|galera|db|database|tls|ssl|certs?|keys?|keyring|'
        r'pki|ca|vault|okv|letsencrypt)(?:[-_.]|$)'
    ),
    re.IGNORECASE,
)
#: Directories of packages that hold what a database server reads.  Of another package's own
#: directory its programs read the files.
_PACKAGED = frozenset(
    {
        *('letsencrypt', 'mariadb', 'my.cnf.d', 'mysql', 'mysql-keyring', 'pki', 'ssl'),
        *('percona-server.conf.d', 'percona-xtradb-cluster.conf.d'),
    }
)
_TOPS = tuple(pathlib.PurePosixPath(top) for top in ('/etc', '/var/lib'))


def inside(path: pathlib.Path, root: pathlib.Path) -> pathlib.Path:
    """Return the path as the system on the root disk at `root` calls it; `root` is / outside of
    tests.
    """
    return pathlib.Path('/') / path.relative_to(root) if path.is_relative_to(root) else path


def is_trusted(path: pathlib.Path, owned: Callable[[pathlib.Path], bool] | None = None) -> bool:
    """Return True for one of these and all below; `path` is absolute, without links or '..' in it.

    `owned` tells whether a package has brought a path: the directory of a program below /etc or
    /var/lib is one of these, too.
    """
    parts = [str(part) for part in (path, *path.parents)]
    # Shells, ssh and others look for names that begin with a dot in any home.
    return (
        str(path) == '/'
        or any(part.startswith('.') for part in path.parts)
        or any(fnmatch.fnmatchcase(part, pattern) for part in parts for pattern in PLACES)
        or _is_of_a_program(path, owned)
    )


def _is_of_a_program(path: pathlib.Path, owned: Callable[[pathlib.Path], bool] | None) -> bool:
    for top in _TOPS:
        if path.is_relative_to(top) and path != pathlib.Path(top):
            child = pathlib.Path(top, path.relative_to(top).parts[0])
            if owned is not None and owned(child):
                return child.name not in _PACKAGED
            return child == path and str(top) == '/etc' and not _OF_DATABASES.search(child.name)
    return False


def is_trusted_for_directories(
    path: pathlib.Path, owned: Callable[[pathlib.Path], bool] | None = None
) -> bool:
    """Tell whether the system trusts a directory that is made empty: below these two any user may
    make one.
    """
    is_open = any(path.is_relative_to(place) for place in ('/tmp', '/var/tmp'))  # noqa: S108  # nosec B108 # a place that is judged: nothing is made there
    if is_open and not any(part.startswith('.') for part in path.parts):
        return False
    if path.parent == pathlib.Path('/etc'):  # an empty directory configures nothing
        path /= 'any'
    return is_trusted(path, owned)

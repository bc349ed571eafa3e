# SPDX-License-Identifier: Apache-2.0
"""Places of a root disk that its system executes or believes: nothing comes there from another root disk.

The old root disk may have been taken over.  What comes back from it is read by the database server alone, so a file has no business where a
boot, a login, a timer, a package manager or an agent would find it.  `doc/source/admin/what-is-kept.rst` has the same list.
"""
import fnmatch
import pathlib

#: Patterns of absolute paths; each stands for what is at it and all below it.  None has to be there.
PLACES: tuple[str, ...] = (
    '/bin', '/boot', '/dev', '/efi', '/lib', '/lib32', '/lib64', '/libx32', '/proc', '/run', '/sbin', '/selinux', '/sys', '/tmp', '/usr',  # noqa: S108
    '/etc/*-release', '/etc/X11', '/etc/acpi', '/etc/aliases*', '/etc/crypto-policies', '/etc/csh*', '/etc/doas.conf', '/etc/dracut*',
    '/etc/fish', '/etc/gdb', '/etc/gitconfig', '/etc/gss', '/etc/inetd*', '/etc/initramfs*', '/etc/ksh*', '/etc/mailcap', '/etc/monit*',
    '/etc/nftables*', '/etc/pip.conf', '/etc/pkcs11', '/etc/pki/ca-trust', '/etc/pki/tls/cert*', '/etc/request-key*', '/etc/screenrc',
    '/etc/snmp', '/etc/ssl/cert*', '/etc/sssd', '/etc/xinetd*', '/etc/zabbix*', '/etc/alternatives', '/etc/anacrontab', '/etc/apparmor*', '/etc/apt', '/etc/at.*', '/etc/audit',
    '/etc/bash*', '/etc/binfmt.d', '/etc/ca-certificates*', '/etc/cloud', '/etc/containerd', '/etc/containers', '/etc/cron*', '/etc/crypttab',
    '/etc/dbus-1', '/etc/debconf.conf', '/etc/default', '/etc/dhcp', '/etc/dhclient*', '/etc/dnf', '/etc/docker', '/etc/dpkg',
    '/etc/environment*', '/etc/exports*', '/etc/fstab', '/etc/group*', '/etc/grub*', '/etc/gshadow*', '/etc/host.conf', '/etc/hostname',
    '/etc/hosts*', '/etc/init', '/etc/init.d', '/etc/inittab', '/etc/inputrc', '/etc/issue*', '/etc/kernel', '/etc/krb5*', '/etc/ld.so*', '/etc/libaudit.conf', '/etc/locale*', '/etc/localtime',
    '/etc/login*', '/etc/logrotate*', '/etc/lvm', '/etc/machine-id', '/etc/mke2fs.conf', '/etc/modprobe*', '/etc/modules*', '/etc/motd',
    '/etc/mtab', '/etc/needrestart', '/etc/netplan', '/etc/network*', '/etc/NetworkManager', '/etc/nsswitch.conf', '/etc/opt', '/etc/pam*',
    '/etc/passwd*', '/etc/perl', '/etc/pki/rpm*', '/etc/polkit*', '/etc/ppp', '/etc/profile*', '/etc/python*', '/etc/rc.d', '/etc/rc.local', '/etc/rc?.d', '/etc/resolv*',
    '/etc/rpm', '/etc/rsyslog*', '/etc/securetty', '/etc/security', '/etc/selinux', '/etc/shadow*', '/etc/shells', '/etc/skel', '/etc/ssh',
    '/etc/ssl/openssl.cnf', '/etc/subgid*', '/etc/subuid*', '/etc/sudo*', '/etc/sysconfig', '/etc/sysctl*', '/etc/systemd', '/etc/timezone',
    '/etc/tmpfiles.d', '/etc/trove*', '/etc/udev', '/etc/ufw', '/etc/update-motd.d', '/etc/vim', '/etc/wgetrc', '/etc/xdg', '/etc/yum*',
    '/etc/zsh*',
    '/home/*/.*', '/root/.*', '/opt/guest-agent-venv', '/opt/trove*', '/snap',
    '/var/cache', '/var/lib/apt', '/var/lib/cloud', '/var/lib/containerd', '/var/lib/containers', '/var/lib/dbus', '/var/lib/dhcp*',
    '/var/lib/docker*', '/var/lib/dpkg', '/var/lib/pam', '/var/lib/polkit*', '/var/lib/rpm', '/var/lib/snapd', '/var/lib/sudo',
    '/var/lib/systemd', '/var/lib/trove*', '/var/lib/ucf', '/var/run', '/var/spool', '/var/tmp',  # noqa: S108
)


def is_trusted(path: pathlib.Path) -> bool:
    """Whether `path`, absolute and without links or '..' in it, is one of these, or below one."""
    parts = [str(part) for part in (path, *path.parents)]
    # Shells, ssh and others look for names that begin with a dot in any home.
    return str(path) == '/' or any(part.startswith('.') for part in path.parts) or any(fnmatch.fnmatchcase(part, pattern) for part in parts for pattern in PLACES)

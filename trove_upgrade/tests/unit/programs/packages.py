# SPDX-License-Identifier: Apache-2.0
"""Debian packages that have our programs.  Checked against the files of those packages that the
machine has.
"""

#: Without these no Debian is made: packages marked Essential, and apt.  Source: dpkg-query of
#: Debian 12, `mmdebstrap --variant=minbase`.
EVERYWHERE = frozenset(
    {
        'apt',
        'base-files',
        'base-passwd',
        'bash',
        'bsdutils',
        'coreutils',
        'dash',
        'debianutils',
        'diffutils',
        'dpkg',
        'findutils',
        'grep',
        'gzip',
        'hostname',
        'init-system-helpers',
        'libc-bin',
        'login',
        'mawk',
        'ncurses-base',
        'ncurses-bin',
        'perl-base',
        'sed',
        'sysvinit-utils',
        'tar',
        'util-linux',
    }
)
#: What a machine has before `make` can be typed: what README.rst names, and what fetching needs.
BEFORE_MAKE = frozenset({'git', 'make', 'python3', 'ca-certificates', 'sudo'})

_OF = {
    'apt': 'apt-config apt-get',
    'bash': 'bash',
    'binutils': 'strip',
    'cloud-init': 'cloud-init',
    'coreutils': 'base64 basename cat chmod chown chroot cp cut date df dirname env '
    'expand head id install ln ls mkdir mkfifo mknod mktemp mv nice od readlink rm rmdir '
    'sha256sum sleep sort stat sync tail test timeout touch tr true uname wc',
    'dash': 'sh',
    'dnsmasq-base': 'dnsmasq',
    'docker-registry': 'docker-registry',
    'docker.io': 'docker dockerd',
    'dpkg': 'dpkg dpkg-query start-stop-daemon',
    'dpkg-dev': 'dpkg-source',
    'e2fsprogs': 'mkfs.ext4 tune2fs',
    'erlang-base': 'epmd',
    'findutils': 'find',
    'git': 'git',
    'gosu': 'gosu',
    'grep': 'grep',
    'gzip': 'gzip',
    'haproxy': 'haproxy',
    'hostname': 'hostname',
    'init-system-helpers': 'service update-rc.d',
    'iproute2': 'ip',
    'iptables': 'ip6tables iptables',
    'kmod': 'modprobe',
    'libc-bin': 'getconf ldd',
    'make': 'make',
    'mariadb-client': 'mariadb-admin mariadb-dump mariadb-tzinfo-to-sql mysqladmin mysqldump',
    'mariadb-client-core': 'mariadb my_print_defaults mysql',
    'mariadb-server-core': 'mariadb-install-db mariadb-upgrade mariadbd mysqld',
    'mawk': 'awk',
    'mmdebstrap': 'mmdebstrap',
    'mount': 'losetup mount umount',
    'nftables': 'nft',
    'openssh-client': 'ssh ssh-add ssh-agent ssh-keygen ssh-keyscan',
    'openssh-server': 'sshd',
    'openssl': 'openssl',
    'passwd': 'chpasswd useradd',
    'patchelf': 'patchelf',
    'postgresql': 'initdb postgres',  # of the package postgresql-NN that it depends on
    'procps': 'pgrep pkill ps',
    'pwgen': 'pwgen',
    'python3-minimal': 'python3',
    'rabbitmq-server': 'rabbitmqctl',
    'runc': 'runc',
    'sed': 'sed',
    'skopeo': 'skopeo',
    'squashfs-tools': 'mksquashfs',
    'sudo': 'sudo',
    'systemd': 'journalctl systemctl systemd-analyze',
    'tar': 'tar',
    'util-linux': 'blkid fallocate findmnt mountpoint nsenter pivot_root setpriv setsid unshare',
    'zstd': 'zstd',
}
PACKAGE = {program: package for package, programs in _OF.items() for program in programs.split()}

#: A package that another one always brings, by its Depends.
BROUGHT_BY = {
    'binutils': 'dpkg-dev',
    'erlang-base': 'rabbitmq-server',
    'mariadb-client': 'mariadb-server',
    'mariadb-client-core': 'mariadb-client',
    'mariadb-server-core': 'mariadb-server',
    'openssh-client': 'openssh-server',
    'python3-minimal': 'python3',
    'runc': 'docker.io',
}
#: Links that a package makes when it is installed, and the file of its own that they lead to.
#: Source: update-alternatives(1).
ALTERNATIVES = {'awk': 'mawk', 'iptables': 'iptables-nft', 'ip6tables': 'ip6tables-nft'}
#: Programs of the virtual environments: the distribution that has them, which a file of constraints
#: pins.
OF_ENVIRONMENT = {
    'openstack': 'python-openstackclient',
    'trove': 'python-troveclient',
    'trove-guestagent': 'trove',
    'ruff': 'ruff',
    'sphinx-build': 'sphinx',
}
#: Started only where the machine has them; without them the caller goes on.
IF_PRESENT = {
    'systemctl': 'lab/packages.py looks for it first',
    'modprobe': 'lab/preflight.py takes its absence for a no',
}
#: Words at a program's place that are none: commands of docker and of our own tools, functions of
#: guest-cgroups.sh and of bash's completion, names that tests make up, a mode of the bridge's
#: relay.
NO_PROGRAM = frozenset(
    {
        '_openstack',
        'connect',
        'data',
        'database',
        'db',
        'exec',
        'image',
        'load',
        'logs',
        'no-such-program',
        'reach',
        'remove_cgroups',
        'restart',
        'run',
        'stop',
        'upgrade',
        'version',
        'x',
    }
)


def has(packages, program):
    """True where one of `packages`, or what it brings, has the program."""
    package = PACKAGE[program]
    while package not in EVERYWHERE and package not in packages:
        if package not in BROUGHT_BY:
            return False
        package = BROUGHT_BY[package]
    return True

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Turns the calling process into process 1 of the bare machine.  Runs as the child of `unshare`, already inside its namespaces;
# every mount made here goes away with them.
#
# usage: enter.sh ROOT NAME CGROUP_SCRATCH SHARED_DIRECTORIES PROGRAM [ARGUMENT...]
#   the environment that PROGRAM gets stands, a line a variable, in ROOT/root/environ
set -eu
root=$1 name=$2 scratch=$3 shared=$4
here=$(dirname "$0")
. "$here/../hypervisor/guest-cgroups.sh"
loop_nodes=256

# A control group of its own, which its namespace then shows as the root of them all.
if [ "${TROVE_BARE_STAGE:-}" != cgroup ]; then
    enter_cgroups all "$name" "$scratch"
    exec env TROVE_BARE_STAGE=cgroup unshare --cgroup -- /bin/sh "$0" "$@"
fi
shift 4

mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"
hostname bare

while read -r directory; do    # a directory that the tree has by itself stays
    [ ! -e ".$directory" ] || continue
    mkdir -p ".$directory"
    mount --bind -o ro "$directory" ".$directory"
done < "$shared"

# Nodes of its own, never the machine's /dev: what removes this tree must not meet them.
mount -t tmpfs -o mode=755,nosuid dev dev
for node in 'null 666 c 1 3' 'zero 666 c 1 5' 'full 666 c 1 7' 'random 666 c 1 8' 'urandom 666 c 1 9' 'tty 666 c 5 0' \
            'kmsg 600 c 1 11' 'loop-control 660 c 10 237' 'fuse 666 c 10 229'; do
    set -- $node "$@"
    mknod -m "$2" "dev/$1" "$3" "$4" "$5"
    shift 5
done
number=0
while [ $number -lt $loop_nodes ]; do
    mknod -m 660 "dev/loop$number" b 7 $number
    number=$((number + 1))
done
mkdir dev/pts dev/shm dev/net
mknod -m 666 dev/net/tun c 10 200
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777,nosuid,nodev shm dev/shm
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr

mount -t proc -o nosuid,nodev,noexec proc proc
mount -t sysfs -o nosuid,nodev,noexec sysfs sys
show_cgroups "$(controller_version)" sys/fs/cgroup
mount -t tmpfs -o mode=755,nosuid,nodev run run
mkdir run/lock
mkdir -p .machine
pivot_root . .machine
# From here on nothing of the machine is on PATH.
exec /usr/bin/env -i /bin/bash -c '
    cd / && umount -l /.machine && rmdir /.machine
    while IFS= read -r variable; do export "$variable"; done < /root/environ
    exec "$@"' bash "$@"

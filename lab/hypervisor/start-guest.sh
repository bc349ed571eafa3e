#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Turns the calling process into process 1 of a guest.  Runs as the child of `unshare`, already inside the guest's
# namespaces; everything it mounts goes away with them.
#
# usage: start-guest.sh GUEST_DIR IMAGE_DEVICE HOSTNAME VOLUME_DEVICE|- INIT CGROUP|- ENGINE_DEVICE|-
#   INIT is `tini` (a small init of ours, started by tini) or `systemd`; CGROUP the name of its control group; with an
#   ENGINE_DEVICE a container engine can run in the guest (see spec.py), and has its directories there.
set -eu
guest=$1 image=$2 hostname=$3 volume=$4 init=$5 cgroup=$6 engine=$7
. "$(dirname "$0")/guest-cgroups.sh"
. "$(dirname "$0")/guest-images.sh"
# systemd takes v2 wherever it is; an engine needs the controllers.
cgroup_version=v2
[ "$engine" = - ] || cgroup_version=$(controller_version)

# systemd and engines want a control group of their own below which they make more; the namespace then shows it as the root
# of them all.
if [ "$cgroup" != - ] && [ "${TROVE_LAB_STAGE:-}" != cgroup ]; then
    enter_cgroups "$cgroup_version" "$cgroup" "$guest/cgroup"
    exec env TROVE_LAB_STAGE=cgroup unshare --cgroup -- /bin/sh "$0" "$@"
fi

# The /proc mounted here is still the host's, so this is the pid that the host knows; the start time guards against reuse.
read -r pid _comm _rest < /proc/self/stat
start_time=$(sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f20)
printf '%s %s\n' "$pid" "$start_time" > "$guest/pid.new"
mv "$guest/pid.new" "$guest/pid"

mount --make-rprivate /
mount -t squashfs -o ro "$image" "$guest/lower"
mount -t overlay overlay -o "lowerdir=$guest/lower,upperdir=$guest/upper,workdir=$guest/work" "$guest/root"
cd "$guest/root"
hostname "$hostname"

mount -t tmpfs -o mode=755,nosuid dev dev
for node in 'null 1 3' 'zero 1 5' 'full 1 7' 'random 1 8' 'urandom 1 9' 'tty 5 0'; do
    set -- $node
    mknod -m 666 "dev/$1" c "$2" "$3"
done
# As a kernel of its own would give it: the guest's agent asks by it that no processor sleeps.
latency=$(awk '$2 == "cpu_dma_latency" { print $1 }' /proc/misc)
[ -z "$latency" ] || mknod -m 600 dev/cpu_dma_latency c 10 "$latency"
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777,nosuid,nodev shm dev/shm
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
# The guest's own volume and no other: `mount UUID=` and `blkid -U` look through /proc/partitions for what /dev has.
# Trove's agent is told a name; a second node would make one volume look like two.
volume_node=${volume#/dev/}
[ "$engine" = - ] || volume_node=vdb
[ "$volume" = - ] || mknod -m 660 "dev/$volume_node" b 7 "${volume#/dev/loop}"

mount -t proc -o nosuid,nodev,noexec proc proc
# An engine sets up networks, and those settings are the namespace's own; the others are the host's.
[ "$engine" = - ] || mount --bind proc/sys/net proc/sys/net
mount --rbind proc/sys proc/sys
mount -o remount,bind,ro,nosuid,nodev,noexec proc/sys
[ ! -e proc/sysrq-trigger ] || mount --bind /dev/null proc/sysrq-trigger
mount --bind "$guest/boot_id" proc/sys/kernel/random/boot_id
if [ "$engine" != - ]; then
    mount -t sysfs -o nosuid,nodev,noexec sysfs sys
    show_cgroups "$cgroup_version" sys/fs/cgroup
    # An overlay cannot lie on an overlay.
    mount -t ext4 -o noinit_itable "$engine" "$guest/engine"
    for place in docker containerd; do
        store=$guest/lower/usr/lib/trove-lab/docker-store/$place target=$guest/engine/$place
        mkdir -p "$target" "var/lib/$place"
        if [ -d "$store" ]; then
            copy_images "$store" "$target"
            mount_layers "$store" "$target"
        fi
        mount --rbind "$target" "var/lib/$place"
    done
else
    mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
fi
mount -t tmpfs -o mode=755,nosuid,nodev run run
mkdir -p run/lock

start='exec /usr/bin/tini -g -- /sbin/trove-lab-init'
if [ "$init" = systemd ]; then
    mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup
    touch dev/console
    mount --bind "$guest/console.log" dev/console
    start='exec /sbin/init'
fi

mkdir -p .host
pivot_root . .host
# From here on nothing of the host is on PATH.
exec /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/root container=lab \
    /bin/sh -c "cd / && umount -l /.host && rmdir /.host && $start"

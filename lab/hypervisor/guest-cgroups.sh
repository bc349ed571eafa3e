# SPDX-License-Identifier: Apache-2.0
#
# Control groups of guests whose init or container engine makes more below its own; read by start-guest.sh and guests.py.
# A host has one hierarchy per controller (v1), one for all (v2), or both (hybrid: the controllers are in v1 then).  Each is
# mounted anew, because nothing says where the host has it; the caller is in a mount namespace of its own.

# What to use: the lines of /proc/self/cgroup ("number:controllers:path") that matter for v1|v2|all; number 0 is v2.
hierarchies() {
    case $1 in
        v1) grep -v '^0:' /proc/self/cgroup ;;
        v2) grep '^0:' /proc/self/cgroup ;;
        all) cat /proc/self/cgroup ;;
    esac
}

# Which version has the controllers of this host.
controller_version() {
    if grep -v '^0:' /proc/self/cgroup | grep -qv ':name='; then
        echo v1
    else
        echo v2
    fi
}

mount_hierarchy() {    # NUMBER CONTROLLERS WHERE
    mkdir -p "$3"
    if [ "$1" = 0 ]; then
        mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$3"
    else
        mount -t cgroup -o "nosuid,nodev,noexec,$2" cgroup "$3"
    fi
}

delegate() {    # WHERE: what is below may use every controller; one that cannot be had is done without
    for controller in $(cat "$1/cgroup.controllers"); do
        { echo "+$controller" > "$1/cgroup.subtree_control"; } 2> /dev/null || :
    done
}

enter_cgroups() {    # v1|v2 NAME SCRATCH: the calling shell moves into a control group of that name in each hierarchy
    hierarchies "$1" | while IFS=: read -r number controllers _path; do
        mount_hierarchy "$number" "$controllers" "$3"
        mkdir -p "$3/trove-lab/$2"
        for group in "$3/trove-lab" "$3/trove-lab/$2"; do
            if [ "$number" = 0 ]; then
                delegate "${group%/*}"
            elif [ -e "$group/cpuset.cpus" ]; then
                cat "${group%/*}/cpuset.cpus" > "$group/cpuset.cpus"
                cat "${group%/*}/cpuset.mems" > "$group/cpuset.mems"
            fi
        done
        # The loop runs in a child of the shell that shall move.
        echo $$ > "$3/trove-lab/$2/cgroup.procs"
        umount "$3"
    done
}

show_cgroups() {    # v1|v2 WHERE: the guest's own view, mounted where its programs look
    if [ "$1" = v2 ]; then
        mount_hierarchy 0 '' "$2"
        # A group that has processes cannot hand controllers down.
        mkdir -p "$2/init"
        echo $$ > "$2/init/cgroup.procs"
        delegate "$2"
        return
    fi
    mount -t tmpfs -o mode=755,nosuid,nodev,noexec cgroup "$2"
    hierarchies v1 | while IFS=: read -r number controllers _path; do
        mount_hierarchy "$number" "$controllers" "$2/${controllers#name=}"
    done
}

remove_cgroups() {    # NAME SCRATCH: bottom up, as the kernel wants it; fails while a process is still ending
    hierarchies all | while IFS=: read -r number controllers _path; do
        mount_hierarchy "$number" "$controllers" "$2" || continue
        if [ -d "$2/trove-lab/$1" ] && ! find "$2/trove-lab/$1" -depth -type d -exec rmdir {} +; then
            exit 1
        fi
        rmdir "$2/trove-lab" 2> /dev/null || :
        umount "$2"
    done
}

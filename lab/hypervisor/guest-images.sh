# SPDX-License-Identifier: Apache-2.0
#
# Container images that a guest image brings with it; read by start-guest.sh.  STORE has an engine's directory as it was when the image
# was made, TARGET becomes the guest's.  The layers, nearly all of it, are not copied: they are mounted straight from the image.

# layers_of STORE: the directories of its layers, relative, for every driver that has its layers apart from its descriptions.
layers_of() {
    for layers_found in "$1"/overlay2/*/diff "$1"/fuse-overlayfs/*/diff \
        "$1"/io.containerd.snapshotter.v1.*/snapshots/*/fs "$1"/containerd/daemon/io.containerd.snapshotter.v1.*/snapshots/*/fs; do
        [ ! -d "$layers_found" ] || printf '%s\n' "${layers_found#"$1/"}"
    done
}

# copy_images STORE TARGET: at the first boot of a root disk, whose TARGET is empty, everything but what the layers hold.
copy_images() {
    [ -z "$(ls -A "$2")" ] || return 0
    layers_of "$1" | sed 's|^|./|; s|$|/?*|' |
        tar -C "$1" -c --xattrs --xattrs-include='*' --anchored --exclude-from=/dev/stdin . | tar -C "$2" -x -p --xattrs --xattrs-include='*'
}

# mount_layers STORE TARGET: at every boot those that the guest's engine has not removed.
mount_layers() {
    layers_of "$1" | while read -r layer; do
        [ ! -d "$2/$layer" ] || mount --bind "$1/$layer" "$2/$layer"
    done
}

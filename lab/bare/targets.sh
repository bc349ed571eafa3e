#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Process 1 of the bare machine: clones the checkout and makes the targets named, one after the other.  How each ended goes to
# /root/results.  bash reaps orphans while it waits.
set -u
cd /root
git clone --quiet checkout.git trove-upgrade && cd trove-upgrade || exit 1
worst=0
for target in "$@"; do
    echo "bare machine: make $target, at $(git log -1 --format=%h)"
    start=$SECONDS
    make "$target" < /dev/null
    code=$?
    echo "$target $code $((SECONDS - start))" >> /root/results
    [ $code = 0 ] || worst=1
done
exit $worst

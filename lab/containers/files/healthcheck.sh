#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Exit code 0 where the server is what the options ask for, 1 where it is not, 2 where the options are wrong.
#
#   healthcheck.sh [--defaults-file FILE] [--connect] [--innodb_initialized]
#
# Without a check it is `--connect`.  The account is the one that the entrypoint wrote beside the data.
set -uo pipefail

DEFAULTS=''
CHECKS=()

usage() { echo "healthcheck: $1; usage: healthcheck.sh [--defaults-file FILE] [--connect] [--innodb_initialized]" >&2; exit 2; }

ask() { mariadb "--defaults-file=$DEFAULTS" --connect-timeout=4 --skip-column-names --batch --execute "$1" 2>&1; }

# Over TCP, where clients come in: a server that only sets itself up, or is kept to itself, does not answer there.
connect() { ask 'SELECT 1' > /dev/null; }

innodb_initialized() {
    [[ "$(ask "SELECT 1 FROM information_schema.ENGINES WHERE ENGINE = 'InnoDB' AND SUPPORT IN ('YES', 'DEFAULT')")" == 1 ]]
}

while [[ $# -gt 0 ]]; do
    case "$1" in
        --defaults-file) [[ $# -ge 2 ]] || usage '--defaults-file needs a file'; DEFAULTS="$2"; shift ;;
        --defaults-file=*) DEFAULTS="${1#*=}" ;;
        --connect|--innodb_initialized) CHECKS+=("${1#--}") ;;
        *) usage "unknown option $1" ;;
    esac
    shift
done

if [[ -z "$DEFAULTS" ]]; then
    DATADIR="$(my_print_defaults --mysqld | sed -n 's/^--datadir=//p' | tail -n 1)"
    DEFAULTS="${DATADIR:-/var/lib/mysql}/.my-healthcheck.cnf"
fi
[[ -r "$DEFAULTS" ]] || { echo "healthcheck: cannot read $DEFAULTS: the server was not set up by this image's entrypoint" >&2; exit 1; }

for check in "${CHECKS[@]:-connect}"; do
    "$check" || { echo "healthcheck: $check failed" >&2; exit 1; }
done

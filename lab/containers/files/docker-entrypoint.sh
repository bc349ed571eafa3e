#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Starts a MariaDB server in a container the way that Trove's guest agent expects of a database image:
#
#   * words that begin with `-` are options of mariadbd; a command other than the server is run as it is;
#   * an empty data directory is filled first, with the root password of MARIADB_ROOT_PASSWORD or MYSQL_ROOT_PASSWORD
#     (or of the file that *_FILE names) and an account for the health check, whose password stands beside the data;
#   * with MARIADB_AUTO_UPGRADE (neither empty nor 0, no, false or off), data of another release is upgraded before the server
#     opens, and a lost health check account is made again;
#   * no root is needed; started as root it becomes `mysql`.
#
# Until it is done, no client can connect: set-up runs without any socket, the upgrade's server listens in a private directory.
set -euo pipefail

readonly HEALTH_USER=healthcheck
readonly READY_SECONDS=120
WORK=''
SERVER=''

note() { printf '%(%Y-%m-%d %H:%M:%S)T entrypoint: %s\n' -1 "$*" >&2; }
die() { note "ERROR: $*"; exit 1; }

is_on() {
    case "${1,,}" in
        ''|0|no|false|off) return 1 ;;
        *) return 0 ;;
    esac
}

# The value of a setting, of whichever of its two names is set; a file's content where NAME_FILE names one.
setting() {
    local name file
    for name in "MARIADB_$1" "MYSQL_$1"; do
        file="${name}_FILE"
        if [[ -n "${!name:-}" && -n "${!file:-}" ]]; then
            die "both $name and $file are set: unset one of them"
        elif [[ -n "${!file:-}" ]]; then
            [[ -r "${!file}" ]] || die "$file names ${!file}, which cannot be read"
            printf '%s' "$(< "${!file}")"
            return
        elif [[ -n "${!name:-}" ]]; then
            printf '%s' "${!name}"
            return
        fi
    done
}

# Text as a literal of SQL.  A backslash means itself: the statements run with NO_BACKSLASH_ESCAPES.
sql_text() { printf "'%s'" "${1//\'/\'\'}"; }

random_password() { od -vAn -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# What the server would take for an option: of its files first, of the command line last.  $1 option, $2 where neither names it.
server_option() {
    local name="$1" found="$2" word
    while IFS= read -r word; do
        local key="${word%%=*}"
        if [[ "${key//_/-}" == "--$name" && "$word" == *=* ]]; then found="${word#*=}"; fi
    done < <(my_print_defaults "${FILES[@]}" --mysqld; printf '%s\n' "${OPTIONS[@]}")
    printf '%s' "$found"
}

# Split the server's words: those that name option files must come first wherever the server's programs are called.
split_words() {
    FILES=() OPTIONS=()
    local word
    for word in "$@"; do
        case "$word" in
            --defaults-file=*|--defaults-extra-file=*|--defaults-group-suffix=*|--no-defaults) FILES+=("$word") ;;
            *) OPTIONS+=("$word") ;;
        esac
    done
}

end_private_server() {
    if [[ -n "$SERVER" ]]; then
        kill -TERM "$SERVER" 2>/dev/null || true
        wait "$SERVER" || true
        SERVER=''
    fi
    if [[ -n "$WORK" ]]; then rm -rf "$WORK"; WORK=''; fi
}

# Statements from standard input, run by a server that no client can reach.
bootstrap() {
    mariadbd "${FILES[@]}" "${OPTIONS[@]}" --bootstrap --skip-log-bin --skip-slave-start --skip-networking \
        --socket="$WORK/none.sock" --pid-file="$WORK/none.pid" > "$WORK/bootstrap.log" 2>&1 || { cat "$WORK/bootstrap.log" >&2; return 1; }
}

start_private_server() {
    mariadbd "${FILES[@]}" "${OPTIONS[@]}" --skip-networking --skip-grant-tables --skip-slave-start \
        --loose-innodb-buffer-pool-dump-at-shutdown=0 --socket="$WORK/upgrade.sock" --pid-file="$WORK/upgrade.pid" &
    SERVER=$!
    local second
    for (( second = 0; second < READY_SECONDS * 5; second++ )); do
        if mariadb-admin --no-defaults --socket="$WORK/upgrade.sock" ping >/dev/null 2>&1; then return; fi
        kill -0 "$SERVER" 2>/dev/null || { SERVER=''; die 'the server for the upgrade ended by itself: see its messages above'; }
        sleep 0.2
    done
    die "the server for the upgrade did not answer within $READY_SECONDS seconds"
}

# Make the health check's account anew, and write down how to use it.
# SQL to run besides: $1 on the bare tables, $2 once their rights are in force.
set_accounts() {
    local password port host
    password="$(random_password)"
    port="$(server_option port 3306)"
    {
        printf '%s\nFLUSH PRIVILEGES;\nSET @@session.sql_mode = CONCAT(@@session.sql_mode, ",NO_BACKSLASH_ESCAPES");\n' "$1"
        printf '%s\n' "$2"
        for host in localhost 127.0.0.1 ::1; do
            printf "CREATE OR REPLACE USER %s@'%s' IDENTIFIED BY '%s';\n" "$HEALTH_USER" "$host" "$password"
            printf "GRANT %s ON *.* TO %s@'%s';\n" "${MARIADB_HEALTHCHECK_GRANTS:-USAGE}" "$HEALTH_USER" "$host"
        done
    } | bootstrap || die 'the accounts could not be made: see the messages above'
    ( umask 077
      printf '[client]\nuser=%s\npassword=%s\nprotocol=tcp\nhost=127.0.0.1\nport=%s\n' "$HEALTH_USER" "$password" "$port" \
          > "$DATADIR/.my-healthcheck.cnf.new" )
    mv "$DATADIR/.my-healthcheck.cnf.new" "$DATADIR/.my-healthcheck.cnf"
}

# SQL that leaves root with this password, here and (unless ROOT_HOST says otherwise) anywhere.
root_sql() {
    local host
    host="$(setting ROOT_HOST)"
    host="${host:-%}"
    printf 'ALTER USER root@localhost IDENTIFIED BY %s;\n' "$(sql_text "$1")"
    if [[ "$host" != localhost ]]; then
        printf 'CREATE OR REPLACE USER root@%s IDENTIFIED BY %s;\n' "$(sql_text "$host")" "$(sql_text "$1")"
        printf 'GRANT ALL ON *.* TO root@%s WITH GRANT OPTION;\n' "$(sql_text "$host")"
    fi
}

fill_data_directory() {
    local password
    password="$(setting ROOT_PASSWORD)"
    if [[ -z "$password" ]] && is_on "$(setting RANDOM_ROOT_PASSWORD)"; then
        password="$(pwgen --numerals --capitalize --symbols --remove-chars="'\\" -1 32)"
        note "GENERATED ROOT PASSWORD: $password"
    fi
    if [[ -z "$password" ]] && ! is_on "$(setting ALLOW_EMPTY_ROOT_PASSWORD)" && ! is_on "$(setting ALLOW_EMPTY_PASSWORD)"; then
        die 'the data directory is empty and no root password is given: set MARIADB_ROOT_PASSWORD, MARIADB_RANDOM_ROOT_PASSWORD or MARIADB_ALLOW_EMPTY_ROOT_PASSWORD'
    fi
    [[ "$password" != *$'\n'* ]] || die 'the root password has a line end in it: choose another one'
    note "filling the data directory $DATADIR"
    # The mark outlives a crash half-way: the next start sets the accounts again before a client can connect.
    touch "$DATADIR/.filling"
    if [[ ! -d "$DATADIR/mysql" || -e "$DATADIR/.installing" ]]; then
        touch "$DATADIR/.installing"
        # Half of an installation that was cut off: the installer takes it for a whole one.
        rm -rf "$DATADIR"/{mysql,performance_schema,sys} "$DATADIR"/{ibdata,ib_logfile,undo,aria_log,ibtmp}* "$DATADIR"/*_upgrade_info
        mariadb-install-db "${FILES[@]}" "${OPTIONS[@]}" --skip-test-db --auth-root-authentication-method=normal \
            --cross-bootstrap --skip-log-bin --skip-name-resolve > "$WORK/install.log" 2>&1 \
            || { cat "$WORK/install.log" >&2; die 'mariadb-install-db failed: see its messages above'; }
        rm -f "$DATADIR/.installing"
    fi
    if ! is_on "$(setting INITDB_SKIP_TZINFO)"; then
        { echo 'USE mysql;'; mariadb-tzinfo-to-sql --skip-write-binlog /usr/share/zoneinfo 2>/dev/null; } | bootstrap \
            || note 'the time zones could not be loaded: named zones are unknown to the server'
    fi
    # Root without a password on other addresses, and accounts without a name, come with the system tables of some releases.
    set_accounts "DELETE FROM mysql.global_priv WHERE User = '' OR User = 'root' AND Host <> 'localhost';" "$(root_sql "$password")"
    rm -f "$DATADIR/.filling"
    note 'the data directory is ready'
}

release_of() { sed -E 's/^[^0-9]*([0-9]+\.[0-9]+).*/\1/' <<< "$1"; }

# The release that last worked on the system tables, as the upgrade program notes it; empty where it never did.
data_version() {
    local file
    for file in mariadb_upgrade_info mysql_upgrade_info; do
        if [[ -s "$DATADIR/$file" ]]; then head -n 1 "$DATADIR/$file" | tr -d '\0'; return; fi
    done
}

keep_system_tables() {
    local kept="$DATADIR/system_mysql_backup_${1:-unknown}.sql.zst"
    note "keeping the system tables in $kept"
    if ! mariadb-dump --no-defaults --socket="$WORK/upgrade.sock" --skip-lock-tables --replace --databases mysql 2>"$WORK/dump.log" \
            | zstd --quiet --force -o "$kept.new"; then
        cat "$WORK/dump.log" >&2
        die 'the system tables could not be kept, so nothing was upgraded'
    fi
    mv "$kept.new" "$kept"
}

upgrade_data_directory() {
    local from to
    from="$(data_version)"
    to="$(mariadbd --no-defaults --version | sed -E 's/.* Ver ([^ ]+).*/\1/')"
    if [[ -n "$from" && "$(release_of "$from")" == "$(release_of "$to")" ]]; then
        [[ -s "$DATADIR/.my-healthcheck.cnf" ]] || { note 'making the lost account of the health check again'; set_accounts '' ''; }
        return
    fi
    note "upgrading data of ${from:-an unknown release} to $to"
    start_private_server
    is_on "${MARIADB_DISABLE_UPGRADE_BACKUP:-}" || keep_system_tables "$from"
    mariadb-upgrade --no-defaults --socket="$WORK/upgrade.sock" --upgrade-system-tables || die 'mariadb-upgrade failed: see its messages above'
    mariadb-admin --no-defaults --socket="$WORK/upgrade.sock" shutdown
    wait "$SERVER" || die 'the server for the upgrade did not end well: see its messages above'
    SERVER=''
    [[ -s "$DATADIR/.my-healthcheck.cnf" ]] || set_accounts '' ''
    note 'the upgrade is done'
}

is_question() {
    local word
    for word in "$@"; do
        case "$word" in -'?'|--help|--version|-V|--print-defaults|--bootstrap) return 0 ;; esac
    done
    return 1
}

prepare_and_run() {
    split_words "${@:2}"
    DATADIR="$(server_option datadir /var/lib/mysql)"
    DATADIR="${DATADIR%/}"
    if [[ "$(id -u)" == 0 ]]; then
        mkdir -p "$DATADIR"
        chown -R mysql: "$DATADIR" /run/mysqld
        exec gosu mysql "$0" "$@"
    fi
    mkdir -p "$DATADIR" && [[ -w "$DATADIR" ]] || die "user $(id -u) cannot write to the data directory $DATADIR: give it to this user"
    trap 'end_private_server' EXIT
    trap 'exit 143' TERM INT
    WORK="$(mktemp -d /tmp/entrypoint.XXXXXX)"
    if [[ ! -d "$DATADIR/mysql" || -e "$DATADIR/.filling" ]]; then
        fill_data_directory
    elif is_on "${MARIADB_AUTO_UPGRADE:-}"; then
        upgrade_data_directory
    fi
    end_private_server
    trap - EXIT TERM INT
    unset MARIADB_ROOT_PASSWORD MYSQL_ROOT_PASSWORD
    exec "$1" "${FILES[@]}" "${OPTIONS[@]}"
}

if [[ $# -eq 0 || "$1" == -* ]]; then set -- mariadbd "$@"; fi
case "$(basename "$1")" in
    mariadbd|mysqld) ;;
    *) exec "$@" ;;
esac
if is_question "$@"; then exec "$@"; fi
prepare_and_run "$@"

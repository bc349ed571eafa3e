#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Brings our agent into a guest from before the upgrade feature, beside the old agent, and takes it out again.  The bridge sends it over
# SSH:  sh -s -- COMMAND ...  For any POSIX shell; needs no Python.  Neither the old agent nor the database is ever stopped here.
#
#   inspect                 print what was found, one line "key=value" each; changes nothing
#   prepare                 make the staging directory, and print it: the archive, agent.conf, guest.key and the two service files are
#                           uploaded there
#   verify ARCHIVE SHA256   compare the uploaded archive
#   unpack ARCHIVE SHA256   unpack it to its own directory
#   self-test SHA256        run the bundle's self-test
#   configure SHA256        put the uploaded configuration, the key and the service in place
#   start [SECONDS]         start our agent, and wait so long until it stays
#   stop | status           of our agent
#   remove                  stop our agent, and remove everything that any of these commands has made
#
# Each command may be repeated.  Exit codes: 0 done; 1 failed; 2 wrong use; 3 (status) our agent does not run; 4 refused.
#
# What is made is written down first, in the ledger, and removed by that: a path that was there before is never removed.

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
umask 022

home=/opt/trove-upgrade-bridge
staging=$home/staging
ledger=$home/ledger
etc=/etc/trove-upgrade-bridge
conf_dir=$etc/conf.d
key=/etc/trove/trove-upgrade-guest.key
state=/var/lib/trove-upgrade
run=/run/trove-upgrade
log_dir=/var/log/trove
name=trove-upgrade-guestagent-bridge
programs='bin/trove-upgrade-guestagent bin/agent'
log=$log_dir/$name.log
unit=/etc/systemd/system/$name.service
script=/etc/init.d/$name
links=/etc/systemd/system/multi-user.target.wants/$name.service
start_seconds=90
old_services='trove-guestagent guest-agent trove-guest trove_guestagent'
databases='mariadb mysql mysqld'

fail() {
    echo "installer: $*" >&2
    exit 1
}

refuse() {
    echo "installer: refused: $*" >&2
    exit 4
}

# --- what is there --------------------------------------------------------------------------------

has() {
    command -v "$1" > /dev/null 2>&1
}

yes_or_no() {
    if "$@"; then echo yes; else echo no; fi
}

tell() {
    # One line, whatever the value has in it.
    printf '%s=%s\n' "$1" "$(printf %s "$2" | tr -d '\r' | tr '\n\t' '  ')"
}

init_system() {
    if [ -d /run/systemd/system ]; then
        echo systemd
    else
        echo sysv
    fi
}

libc_version() {
    found=$(getconf GNU_LIBC_VERSION 2> /dev/null)
    [ -n "$found" ] || found=$(ldd --version 2>&1 | sed -n '1s/.* \([0-9][0-9.]*\)$/glibc \1/p')
    echo "${found#glibc }"
}

distribution() {
    if [ -r /etc/os-release ]; then
        sed -n 's/^ID="\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' /etc/os-release | head -n 1
        sed -n 's/^VERSION_ID="\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' /etc/os-release | head -n 1
    elif [ -r /etc/redhat-release ]; then
        cat /etc/redhat-release
    else
        echo unknown
    fi
}

boot_program() {
    # What lets a service start at boot.
    if [ "$(init_system)" = systemd ]; then
        echo systemctl
    elif has update-rc.d; then
        echo update-rc.d
    elif has chkconfig; then
        echo chkconfig
    else
        echo none
    fi
}

layout() {
    if has dpkg; then echo deb; elif has rpm; then echo rpm; else echo unknown; fi
}

service_exists() {
    if [ "$(init_system)" = systemd ] && systemctl cat "$1.service" > /dev/null 2>&1; then
        return 0
    fi
    [ -f "/etc/init.d/$1" ] || [ -f "/etc/init/$1.conf" ]
}

arguments_of() {
    # A process that has ended meanwhile has none; the shell's own word about that is dropped, too.
    { tr '\0' '\n' < "/proc/$1/cmdline"; } 2> /dev/null
}

ticks_of() {
    # Of /proc/PID/stat, behind the name, which may have spaces and brackets in it: the start, in ticks since the boot.
    sed 's/.*) //' "/proc/$1/stat" 2> /dev/null | cut -d ' ' -f 20
}

processes() {
    # Print the numbers of all whose program or script has one of these names.  Their children are left out: they come and go.
    found=$(named "$@")
    for number in $found; do
        parent=$(sed 's/.*) //' "/proc/$number/stat" 2> /dev/null | cut -d ' ' -f 2)
        echo "$found" | grep -qx "${parent:-0}" || echo "$number"
    done
}

named() {
    # It is the program's, or that of a script by its path: an interpreter may have an option before it.
    grep -las "$(printf '%s\n' "$@")" /proc/[0-9]*/cmdline | sed 's,/proc/,,; s,/cmdline,,' | while read -r number; do
        [ "$number" != $$ ] || continue
        case "$(readlink "/proc/$number/exe" 2> /dev/null)" in
            "$home"/*) continue ;;
        esac
        for word in $(arguments_of "$number" | sed -n '1p; 2,3{/^\//p;}; 3q' | sed 's,.*/,,; s,[^A-Za-z0-9_.-],_,g'); do
            case " $* " in
                *" $word "*) echo "$number" ;;
            esac
        done
    done | sort -nu
}

with_starts() {
    for number in "$@"; do
        printf '%s:%s ' "$number" "$(ticks_of "$number")"
    done | sed 's/ $//'
}

value_of() {
    # Of the option --$1 in the arguments on standard input, in both forms.
    sed -n "/^--$1=/{s/^--$1=//;p;};/^--$1\$/{n;p;}" | tail -n 1
}

agent_files() {
    # The usual places, then what its own command line names, in the order in which it reads them: the last one counts.
    for path in /etc/trove/trove-guestagent.conf /etc/trove/guest_info.conf /etc/guest_info /etc/guest_info.conf \
        /etc/trove/conf.d/*.conf; do
        [ ! -f "$path" ] || echo "$path"
    done
    for number in "$@"; do
        arguments_of "$number" | while read -r word; do
            case "$word" in
                --config-file | --config-dir) read -r place || break ;;
                --config-file=* | --config-dir=*) place=${word#*=} ;;
                *) continue ;;
            esac
            case "$word" in
                --config-file*) echo "$place" ;;
                *) ls "$place"/*.conf 2> /dev/null ;;
            esac
        done
    done
}

reversed() {
    sed -n '1!G;h;$p'
}

free_kb() {
    place=$1
    while [ ! -d "$place" ]; do place=$(dirname "$place"); done
    df -Pk "$place" | sed -n '2p' | tr -s ' ' | cut -d ' ' -f 4
}

do_inspect() {
    tell format 1
    tell uid "$(id -u)"
    tell libc "$(libc_version)"
    tell machine "$(uname -m)"
    tell bits "$(getconf LONG_BIT 2> /dev/null)"
    tell kernel "$(uname -r)"
    tell init "$(init_system)"
    tell boot "$(boot_program)"
    tell layout "$(layout)"
    tell distribution "$(distribution)"
    for program in xz gzip tar sha256sum setsid; do
        tell "has_$program" "$(yes_or_no has "$program")"
    done
    tell free_kb "$(free_kb "$home")"
    tell clock "$(date +%s)"
    tell has_conf_d "$(yes_or_no [ -d /etc/trove/conf.d ])"
    for service in $old_services; do
        ! service_exists "$service" || tell agent_service "$service"
    done
    # shellcheck disable=SC2086 - numbers and names, apart
    agents=$(processes $old_services)
    tell agent_processes "$(with_starts $agents)"
    # shellcheck disable=SC2086
    agent_files $agents | reversed | awk '!seen[$0]++' | reversed | while read -r path; do
        tell agent_file "$path"
    done
    inspect_database
    inspect_ours
}

inspect_database() {
    for service in $databases; do
        ! service_exists "$service" || tell database_service "$service"
    done
    servers=$(processes mariadbd mysqld)
    tell database_processes "$(with_starts $servers)"
    for number in $servers; do
        tell database_program "$(readlink "/proc/$number/exe" 2> /dev/null)"
        tell database_data "$(arguments_of "$number" | value_of datadir)"
    done
    if mountpoint -q /var/lib/mysql 2> /dev/null; then
        tell volume mounted
    else
        tell volume none
    fi
    tell has_data "$(yes_or_no [ -d /var/lib/mysql/data ])"
    tell has_client_file "$(yes_or_no [ -f /root/.my.cnf ])"
}

inspect_ours() {
    for directory in "$home"/[0-9a-f]*; do
        case "$directory" in *.new) continue ;; esac
        [ ! -d "$directory" ] || tell pushed "${directory##*/}"
    done
    product=no
    for path in /opt/trove-upgrade/venv /etc/systemd/system/trove-upgrade-guestagent.service \
        /lib/systemd/system/trove-upgrade-guestagent.service /etc/init.d/trove-upgrade-guestagent; do
        [ ! -e "$path" ] || product=yes
    done
    tell has_product "$product"
    tell our_agent "$(if is_running; then echo running; else echo stopped; fi)"
    tell upgrade_holds "$(yes_or_no [ -n "$(holding)" ])"
}

holding() {
    # Print the first file by which an upgrade has this guest in hand: of the old agent, where there is one that our agent knows; and of
    # the database, from before it is stopped until it serves again.
    for file in "$state/trove-agent-held" "$state/marks/quiescing.json" "$state/marks/quiesced.json"; do
        if [ -e "$file" ]; then
            echo "$file"
            return
        fi
    done
}

# --- the ledger -----------------------------------------------------------------------------------

note() {
    # KIND PATH: written down, and on the disk, before the path is made; what was there before is not ours.
    grep -qxF "$1 $2" "$ledger" 2> /dev/null && return 0
    [ ! -e "$2" ] && [ ! -L "$2" ] || return 0
    echo "$1 $2" >> "$ledger" || fail "$ledger cannot be written"
    sync
}

is_ours() {
    grep -qxF "$1 $2" "$ledger" 2> /dev/null
}

make_directory() {
    # KIND PATH MODE
    note "$1" "$2"
    [ -d "$2" ] || mkdir -m "$3" "$2" || fail "$2 cannot be made"
}

do_prepare() {
    # The ledger stands in the directory that it names first.
    if [ ! -d "$home" ]; then
        opt=$(dirname "$home")
        had_opt=yes
        [ -d "$opt" ] || { had_opt=no; mkdir -p -m 0755 "$opt" || fail "$opt cannot be made"; }
        rm -rf "$home.new"
        mkdir -m 0755 "$home.new" || fail "$home cannot be made"
        { [ $had_opt = yes ] || echo "dir $opt"; echo "tree $home"; } > "$home.new/ledger"
        sync
        mv "$home.new" "$home" || fail "$home cannot be made"
    fi
    mkdir -p "$staging" && chmod 0700 "$staging" || fail "$staging cannot be made"
    tell staging "$staging"
}

# --- the bundle -----------------------------------------------------------------------------------

check_digest() {
    [ "${#1}" = 64 ] || { echo 'installer: no SHA-256 was given' >&2; exit 2; }
    case "$1" in *[!0-9a-f]*) echo 'installer: no SHA-256 was given' >&2; exit 2 ;; esac
    bundle=$home/$(printf %.16s "$1")
}

do_verify() {
    check_digest "$2"
    found=$(sha256sum "$1" | cut -d ' ' -f 1)
    [ "$found" = "$2" ] || fail "$1 is not what was sent: its SHA-256 is ${found:-unknown}, and $2 was expected"
    tell sha256 "$found"
}

unpack_into() {
    case "$2" in
        *.tar.xz) tar -xJf "$2" --no-same-owner -C "$1" ;;
        *.tar.gz) tar -xzf "$2" --no-same-owner -C "$1" ;;
        *) fail "$2 is neither .tar.xz nor .tar.gz" ;;
    esac && [ -s "$1/manifest.json" ]
}

do_unpack() {
    check_digest "$2"
    if [ ! -d "$bundle" ]; then
        do_verify "$1" "$2" > /dev/null
        rm -rf "$bundle.new"
        mkdir -m 0755 "$bundle.new" || fail "$bundle cannot be made"
        unpack_into "$bundle.new" "$1" || { rm -rf "$bundle.new"; fail "$1 cannot be unpacked: it is no whole bundle"; }
        ! has restorecon || restorecon -R "$bundle.new" 2> /dev/null
        sync
        mv "$bundle.new" "$bundle" || fail "$bundle cannot be made"
    fi
    rm -f "$1"
    tell bundle "$bundle"
}

in_bundle() {
    # Print the first of these programs that the bundle has, at its top or in its runtime.
    for place in "$bundle/runtime" "$bundle"; do
        for program in "$@"; do
            if [ -x "$place/$program" ]; then
                echo "$place/$program"
                return 0
            fi
        done
    done
    fail "$bundle has no $1 in it: it is no bundle"
}

do_self_test() {
    check_digest "$1"
    program=$(in_bundle bin/self-test) || exit 1
    # Nothing of the login's own environment may help it.  What its libraries keep of their entry points goes with the rest.
    env -i PATH="$PATH" LC_ALL=C XDG_CACHE_HOME="$staging/cache" "$program" || fail "the self-test of the bundle failed"
}

# --- configuration and service --------------------------------------------------------------------

place() {
    # SOURCE TARGET MODE: whole or not at all.
    [ ! -e "$2" ] || is_ours file "$2" || refuse "$2 is there already and was not put there by a bridge"
    note file "$2"
    cp "$1" "$2.new" && chmod "$3" "$2.new" && mv -f "$2.new" "$2" || fail "$2 cannot be written"
}

do_configure() {
    check_digest "$1"
    # shellcheck disable=SC2086 - names, apart
    agent=$(in_bundle $programs) || exit 1
    [ -s "$staging/agent.conf" ] || [ -s "$conf_dir/trove-upgrade-guestagent.conf" ] || fail 'no configuration was sent'
    umask 077
    make_directory dir "$(dirname "$key")" 0755
    make_directory tree "$etc" 0700
    [ -d "$conf_dir" ] || mkdir -m 0700 "$conf_dir" || fail "$conf_dir cannot be made"
    if [ -s "$staging/guest.key" ]; then
        [ ! -e "$key" ] || is_ours file "$key" || cmp -s "$staging/guest.key" "$key" || \
            refuse "$key is there already and was not put there by a bridge. An upgrade of this instance needs none."
        place "$staging/guest.key" "$key" 0600
        rm -f "$staging/guest.key"
    fi
    if [ -s "$staging/agent.conf" ]; then
        cp "$staging/agent.conf" "$conf_dir/new" && chmod 0600 "$conf_dir/new" && \
            mv -f "$conf_dir/new" "$conf_dir/trove-upgrade-guestagent.conf" || fail "$conf_dir cannot be written"
        rm -f "$staging/agent.conf"
    fi
    umask 022
    place_service
    make_directory dir "$log_dir" 0755
    # Of the agent itself.
    note file "$log"
    note tree "$run"
    note tree "$state"
    sync
    tell service "$name"
}

place_service() {
    if [ "$(init_system)" = systemd ]; then
        [ -s "$staging/$name.service" ] || fail 'no unit was sent'
        sed "s,@AGENT@,$agent,g" "$staging/$name.service" > "$staging/service" || fail 'no unit'
        place "$staging/service" "$unit" 0644
        systemctl daemon-reload || fail 'systemd cannot read its units again'
    else
        [ -s "$staging/$name" ] || fail 'no init script was sent'
        sed "s,@AGENT@,$agent,g" "$staging/$name" > "$staging/service" || fail 'no init script'
        place "$staging/service" "$script" 0755
    fi
    rm -f "$staging/service"
}

is_running() {
    if [ -f "$unit" ] && [ "$(init_system)" = systemd ]; then
        systemctl is-active --quiet "$name.service"
    elif [ -x "$script" ]; then
        "$script" status > /dev/null 2>&1
    else
        return 1
    fi
}

do_start() {
    [ -x "$script" ] || [ -f "$unit" ] || fail 'nothing was configured'
    case "$(boot_program)" in
        systemctl)
            note file "$links"
            systemctl enable "$name.service" > /dev/null 2>&1 || fail "$name cannot be enabled"
            systemctl start "$name.service" || fail "$name does not start: $(last_words)"
            ;;
        *)
            case "$(boot_program)" in
                update-rc.d) update-rc.d "$name" defaults > /dev/null || fail "$name cannot be enabled" ;;
                chkconfig) chkconfig --add "$name" > /dev/null || fail "$name cannot be enabled" ;;
            esac
            "$script" start > /dev/null || fail "$name does not start: $(last_words)"
            ;;
    esac
    wait_steady || fail "$name starts again and again: $(last_words)"
    do_status
}

last_words() {
    tail -n 5 "$log" 2> /dev/null | tr '\n' ' '
}

wait_steady() {
    # One that cannot read its configuration ends at once, and its service starts it anew.
    passed=0 looks=0 former=
    while [ $passed -lt $start_seconds ]; do
        # shellcheck disable=SC2046 - numbers, apart
        now=$(with_starts $(our_processes))
        if [ -n "$now" ] && [ "$now" = "$former" ]; then looks=$((looks + 1)); else looks=0; fi
        [ $looks -lt 4 ] || return 0
        former=$now
        sleep 1
        passed=$((passed + 1))
    done
    return 1
}

do_status() {
    if is_running; then
        tell our_agent running
    else
        tell our_agent stopped
        exit 3
    fi
}

our_processes() {
    # Their program is below our directory, whatever has started them.
    for directory in /proc/[0-9]*; do
        case "$(readlink "$directory/exe" 2> /dev/null)" in
            "$home"/*) echo "${directory#/proc/}" ;;
        esac
    done
}

keepers() {
    # The init script's own processes, which start the agent again.
    grep -lasF "$script" /proc/[0-9]*/cmdline | sed 's,/proc/,,; s,/cmdline,,' | while read -r number; do
        ! arguments_of "$number" | grep -qx keep || echo "$number"
    done
}

do_stop() {
    if [ -f "$unit" ] && [ "$(init_system)" = systemd ]; then
        systemctl stop "$name.service" 2> /dev/null
    elif [ -x "$script" ]; then
        "$script" stop > /dev/null 2>&1
    fi
    for number in $(keepers) $(our_processes); do kill -TERM "$number" 2> /dev/null; done
    left=20
    while [ -n "$(keepers)$(our_processes)" ] && [ $left -gt 0 ]; do
        sleep 1
        left=$((left - 1))
    done
    for number in $(keepers) $(our_processes); do kill -KILL "$number" 2> /dev/null; done
    [ -z "$(our_processes)" ] || sleep 1
    [ -z "$(our_processes)" ] || fail "our agent cannot be stopped: processes $(our_processes | tr '\n' ' ')"
    tell our_agent stopped
}

refuse_held() {
    held=$(holding)
    [ -z "$held" ] || refuse "$held is there, so an upgrade has this guest in hand. Let it come to its end first."
}

do_remove() {
    refuse_held
    if [ ! -f "$ledger" ]; then
        rm -rf "$home.new"
        tell removed nothing
        return 0
    fi
    do_stop > /dev/null
    # One may have begun until our agent was stopped, which alone can undo it.
    [ -z "$(holding)" ] || (do_start > /dev/null)
    refuse_held
    if [ -f "$unit" ] && is_ours file "$unit"; then
        systemctl disable "$name.service" > /dev/null 2>&1
    fi
    if [ -f "$script" ] && is_ours file "$script"; then
        # While the script is there: chkconfig reads it.
        if has chkconfig && ! has update-rc.d; then chkconfig --del "$name" > /dev/null 2>&1; fi
    fi
    made=$(reversed < "$ledger")
    # The ledger goes last: a removal that is cut off goes on.
    printf '%s\n' "$made" | while read -r kind path; do
        [ "$path" = "$home" ] || [ "$path" = "$(dirname "$home")" ] || remove_path "$kind" "$path" || exit 1
    done || fail 'something that was made cannot be removed'
    after_removal
    printf '%s\n' "$made" | while read -r kind path; do
        case "$path" in "$home" | "$(dirname "$home")") remove_path "$kind" "$path" || exit 1 ;; esac
    done || fail "$home cannot be removed"
    sync
    tell removed all
}

remove_path() {
    case "$1" in
        file) rm -f "$2" "$2.new" ;;
        tree) rm -rf "$2" ;;
        # With files in it that are not ours it stays.
        dir) [ ! -d "$2" ] || rmdir "$2" 2> /dev/null || : ;;
        *) return 1 ;;
    esac
}

after_removal() {
    if [ "$(init_system)" = systemd ]; then
        systemctl daemon-reload
        systemctl reset-failed "$name.service" 2> /dev/null
    elif has update-rc.d; then
        update-rc.d "$name" remove > /dev/null 2>&1
    fi
    :
}

wrong_use() {
    echo 'usage: installer inspect | prepare | verify ARCHIVE SHA256 | unpack ARCHIVE SHA256 | self-test SHA256 | configure SHA256' \
        '| start [SECONDS] | stop | status | remove' >&2
    exit 2
}

main() {
    # The shell has read all of this by now; nothing that is started may read the rest of it.
    exec < /dev/null
    case "${1:-}/$#" in
        start/2) start_seconds=$2 do_start ;;
        inspect/1 | prepare/1 | start/1 | stop/1 | status/1 | remove/1) "do_$1" ;;
        verify/3 | unpack/3) "do_$1" "$2" "$3" ;;
        configure/2) do_configure "$2" ;;
        self-test/2) do_self_test "$2" ;;
        *) wrong_use ;;
    esac
}

main "$@"

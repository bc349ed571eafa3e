# SPDX-License-Identifier: Apache-2.0
"""Options that may come from another root disk for programs other than the server: clients, tools
and start scripts, which root runs.

Their options can run commands, load libraries and write files, under names that change from release
to release and can be cut short.  So this is a closed list: what is not on it, in full, is refused
by name. Source: `--help` of the programs of MariaDB 10.11 and 11.8 and of MySQL 9.7; mysqld_safe of
both.
"""

import re
from collections.abc import Iterable, Mapping

from trove_upgrade.guestagent.datastores.mysql_family import option_files, option_groups

_CONNECTION = """
    bind-address character-sets-dir cleartext-plugin compress compression-algorithms
    connect-expired-password connect-timeout default-character-set dns-srv-name
    get-server-public-key host interactive-timeout max-allowed-packet net-buffer-length
    net-read-timeout net-write-timeout network-timeout password password1 password2 password3
    plugin-dir port protocol read-timeout reconnect secure-auth server-public-key-path socket ssl
    user wait-timeout write-timeout zstd-compression-level
"""
_DISPLAY = """
    auto-rehash auto-vertical-output batch beep binary-as-hex binary-mode column-names
    column-type-info comments database force histignore html i-am-a-dummy ignore-spaces line-numbers
    max-join-size no-auto-rehash no-beep one-database pager progress-reports prompt quick
    quick-max-column-width safe-updates select-limit show-query-costs show-warnings sigint-ignore
    silent syslog table unbuffered verbose vertical xml
"""
_DUMPS = """
    add-drop-database add-drop-table add-drop-trigger add-drop-user add-locks all-databases
    all-tablespaces allow-keywords apply-replica-statements apply-slave-statements autocommit
    column-statistics compact compatible complete-insert create-options delayed-insert disable-keys
    dump-date events extended-insert flush-logs flush-privileges gtid hex-blob ignore-database
    ignore-error ignore-table ignore-table-data include-master-host-port include-source-host-port
    insert-ignore lock-all-tables lock-tables log-queries master-data max-statement-time
    mysqld-long-query-time no-autocommit no-create-db no-create-info no-data no-data-med
    no-set-names no-tablespaces opt order-by-primary order-by-size quote-names replace routines
    set-charset set-gtid-purged single-transaction source-data triggers tz-utc
"""
_TOOLS = """
    analyze auto-repair check check-only-changed check-upgrade extended fast ft-max-word-len
    ft-min-word-len key-buffer key-buffer-size low-priority medium-check myisam-block-size optimize
    process-tables process-views read-buffer read-buffer-size shutdown-timeout sort-buffer
    sort-buffer-size sort-key-blocks wait write-binlog write-buffer write-buffer-size
"""
_START_SCRIPTS = """
    basedir core-file-size flush-caches kill-mysqld ledir malloc-lib mysqladmin mysqld
    mysqld-version nice numa-interleave nowatch no-auto-restart no-watch open-files-limit pid-file
"""
#: Without the prefixes that programs take off.  What those of them name is judged by
#: `code_options`.
_NAMES = frozenset(f'{_CONNECTION} {_DISPLAY} {_DUMPS} {_TOOLS} {_START_SCRIPTS}'.split())
#: Certificates and rules for them: programs read what these name, and write nothing.
_ENCRYPTION = re.compile(r'(?:ssl|tls)-[a-z-]+')
_OFF = r'(?:0|off|false)'
#: With these values alone.
_VALUES: Mapping[str, re.Pattern[str]] = {
    'default-auth': re.compile(r'\w+'),
    'init-command': re.compile(r'set\s[^;\\]*', re.IGNORECASE),
    'local-infile': re.compile(_OFF, re.IGNORECASE),
    'named-commands': re.compile(_OFF, re.IGNORECASE),
    'syslog-tag': re.compile(r'[\w.-]+'),
    'timezone': re.compile(r'\w[\w+/-]*'),
}
#: Those of `_VALUES` that are switched off so; with a value of 0 they would be on.
_SWITCHED_OFF = re.compile(r'(?:skip|disable)-(?:local-infile|named-commands)')
#: It lets the server that a client talks to read the client's files: harmless where that is the one
#: of this machine.
_LOCAL_INFILE = 'local-infile'
_HERE = frozenset({'localhost', '127.0.0.1', '::1'})
_START_SCRIPT = re.compile(r'(?:mysqld|mariadbd?)[-_]safe|safe_mysqld')
_NAME_IN_DATA = re.compile(r'\w[\w.-]*')
#: Each of several servers of one machine has such a group, with options of servers.
_NUMBERED = re.compile(r'(?:mysqld|mariadbd?)\d+')


def refused(
    options: Iterable[option_files.Option], groups: option_groups.ServerGroups
) -> list[str]:
    """Return sentences' parts for each option of another program that is not on the list; the
    server reads `groups`.
    """
    others = [option for option in options if _is_for_others(option.group, groups)]
    stays = not any(option.bare_name == 'host' and option.value not in _HERE for option in others)
    return list(
        dict.fromkeys(
            f'{option.name} in [{option.group}] is no option that comes along for programs other '
            f'than the server ({option.place})'
            for option in others
            if not _is_listed(option) and not (stays and option.bare_name == _LOCAL_INFILE)
        )
    )


def _is_for_others(group: str, groups: option_groups.ServerGroups) -> bool:
    """Tell whether programs other than the server read it: all groups but those of servers, of
    either dialect: that of another is read by none here.
    """
    if group in groups.shared:
        return True
    return not option_groups.ANY.has(group) and _NUMBERED.fullmatch(group) is None


def _is_listed(option: option_files.Option) -> bool:
    name, value = option.bare_name, (option.value or '').strip()
    if name in _NAMES or _ENCRYPTION.fullmatch(name):
        return True
    if name == 'log-error':  # a dump writes it anywhere; a start script where the server does
        return _START_SCRIPT.fullmatch(option.group) is not None and (
            value.startswith('/') or value == '' or _NAME_IN_DATA.fullmatch(value) is not None
        )
    written = option.name.removeprefix('loose-')
    if option.value is None:
        return _SWITCHED_OFF.fullmatch(written) is not None
    form = _VALUES.get(written)
    return form is not None and form.fullmatch(value) is not None

# SPDX-License-Identifier: Apache-2.0
"""Checks of the option files against the target: unknown options, groups that it does not read, the
command line.
"""

import os
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Any

from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores.mysql_family import option_files
from trove_upgrade.guestagent.datastores.mysql_family.target_options import TargetOptions, Verdict
from trove_upgrade.guestagent.storage.sight import Sight

#: What distributions and service units put on the command line, and our service sets by itself or
#: does not need.
_USUAL_ARGUMENTS = frozenset(
    {
        'defaults-file',
        'defaults-extra-file',
        'defaults-group-suffix',
        'basedir',
        'datadir',
        'plugin-dir',
        'user',
        'log-error',
        'pid-file',
        'socket',
        'skip-log-error',
        'wsrep-start-position',
        'wsrep-new-cluster',
        'port',
        'console',
        'skip-networking',
        'event-scheduler',
        'skip-slave-start',
    }
)
#: With another value these are the customer's.
_USUAL_VALUES = {
    'port': re.compile(r'3306'),
    'event-scheduler': re.compile(r'OFF|0|DISABLED', re.IGNORECASE),
    'basedir': re.compile(r'/usr/?'),
    'plugin-dir': re.compile(r'/usr/lib\S*'),
    'log-error': re.compile(r'|/var/log/\S*'),
}
_FILES_NAMED = frozenset({'defaults-file', 'defaults-extra-file'})


def check_read(configuration: option_files.Configuration) -> CheckResult:
    """Return whether all of it was read: nothing can be said of the rest, and so of none of it."""
    name = 'configuration_files'
    if configuration.unread:
        return CheckResult.refused(
            name,
            (
                f'The configuration cannot be looked at: {"; ".join(configuration.unread)}. Put '
                'plain files of a usual size in their place, write what is named so that all '
                'programs of the database read it alike (absolute paths, each line ended by a '
                'newline), and upgrade again.'
            ),
            'CONFIGURATION_NOT_READ',
        )
    return CheckResult.ok(name, f'All {len(configuration.files)} option files were read.')


def check_options(options: Sequence[option_files.Option], target: TargetOptions) -> CheckResult:
    """Every option that comes back after the upgrade."""
    name = 'configuration_options'
    verdicts = [(option, target.judge(option)) for option in options]
    refused = _places(option for option, verdict in verdicts if verdict is Verdict.REFUSED)
    if refused:
        return CheckResult.refused(
            name,
            (
                'The configuration cannot be used with the target version: its server does not '
                f'know {refused}. Take these options out of the configuration and upgrade again.'
            ),
            'UNKNOWN_OPTION',
        )
    ignored = _places(option for option, verdict in verdicts if verdict is Verdict.IGNORED)
    if ignored:
        return CheckResult.warning(
            name,
            (
                f'Some options will have no effect: the target version ignores {ignored}. Take '
                'them out when convenient.'
            ),
            'IGNORED_OPTION',
        )
    unsure = _places(option for option, verdict in verdicts if verdict is Verdict.OF_A_PLUGIN)
    if unsure or not target.has_facts:
        return CheckResult.warning(name, _missing_facts(unsure), Code.TARGET_FACTS_MISSING)
    return CheckResult.ok(
        name, f'The target version knows all {len(options)} options of the configuration.'
    )


def _missing_facts(unsure: str) -> str:
    """A message: facts lack the options that are `unsure`; where none is, there are no facts."""
    if unsure:
        return (
            f'It cannot be told whether the target knows {unsure}: the facts of its image do '
            'not name the options of all libraries that this server loads. The new server '
            'tries the configuration before it touches the data; record the facts of the '
            'image anew for a full check.'
        )
    return (
        'The configuration can be checked only against the shipped table: the target '
        'version was registered without the facts of its image. Register the facts for a '
        'full check; the new server tries the configuration before it touches the data.'
    )


def check_groups(
    configuration: option_files.Configuration,
    comes_back: Callable[[pathlib.Path], bool],
    server_version: str,
    target: TargetFacts,
) -> CheckResult:
    """Groups that the running server reads and the target's does not: their options would be gone
    without a word.
    """
    name = 'option_groups'
    read_now = frozenset(configuration.groups.of(server_version))
    read_then = frozenset(target.option_groups or configuration.groups.of(target.server_version))
    lost = [
        option
        for option in configuration.options
        if option.group in read_now and option.group not in read_then and comes_back(option.path)
    ]
    if lost:
        groups = ', '.join(sorted({f'[{option.group}]' for option in lost}))
        return CheckResult.refused(
            name,
            (
                'The configuration cannot be used with the target version: its server does not '
                f'read {groups}, and {_places(lost)} would be lost without a message. Move these '
                'options to [mariadb] or [mysqld] and upgrade again.'
            ),
            'OPTION_GROUP_DROPPED',
        )
    return CheckResult.ok(
        name, 'The target version reads every group of the configuration that this server reads.'
    )


def check_command_line(arguments: Sequence[str], read: Sequence[pathlib.Path]) -> CheckResult:
    """Options that the running server got from its unit or a drop-in: they are not kept.  `read`
    are the files that were looked at.
    """
    name = 'command_line'
    options = option_files.from_command_line(arguments)
    others = _unread_sources(options, read)
    if others:
        return CheckResult.refused(
            name,
            (
                'The configuration cannot be looked at: the server was started with '
                f'{", ".join(others)}, which no server of a new image reads. Move these options to '
                'the usual option files, restart the server without them on its command line, and '
                'upgrade again.'
            ),
            'CONFIGURATION_NOT_READ',
        )
    extra = [f'--{option.name}' for option in options if not _is_usual(option)]
    if extra:
        return CheckResult.warning(
            name,
            (
                'The server was started with options that stand in no option file: '
                f'{", ".join(extra)}. They will not be there after the upgrade. Write them into '
                'the configuration to keep them.'
            ),
            'COMMAND_LINE_OPTIONS',
        )
    return CheckResult.ok(name, 'The server was started with no options but those of its files.')


def _unread_sources(
    options: Sequence[option_files.Option], read: Sequence[pathlib.Path]
) -> list[str]:
    """Option files and groups that the command line names, and that were not looked at."""
    files = {os.path.realpath(path) for path in read}
    others = [
        option.value
        for option in options
        if option.name in _FILES_NAMED
        and option.value
        and os.path.realpath(option.value) not in files
    ]
    others += [
        f'groups with the suffix {option.value}'
        for option in options
        if option.name == 'defaults-group-suffix' and option.value
    ]
    return others


def _is_usual(option: option_files.Option) -> bool:
    """Tell whether distributions, or our service, start a server with this option."""
    usual = _USUAL_VALUES.get(option.name)
    return option.name in _USUAL_ARGUMENTS and (
        usual is None or usual.fullmatch(option.value or '') is not None
    )


def check_key_files(
    configuration: option_files.Configuration,
    comes_back: Callable[[pathlib.Path], bool],
    data_directory: pathlib.Path,
    top: pathlib.Path = pathlib.Path('/'),
) -> CheckResult:
    """Files that the configuration names for TLS: a start on an empty data directory does not
    notice that one is missing.

    A relative name counts from the data directory, as with the server.  What the server's user
    cannot see counts as missing, and no tenant learns of it here.
    """
    name = 'tls_files'
    sight = Sight.of_owner(data_directory, pathlib.Path(os.path.realpath(top)))
    missing = [
        option
        for option in configuration.of_servers()
        if option.name.removeprefix('loose-') in {'ssl-ca', 'ssl-cert', 'ssl-key'}
        and option.value
        and comes_back(option.path)
        and not (
            sight.reaches(data_directory / option.value)
            and os.path.isfile(data_directory / option.value)  # noqa: PTH113 - a tenant's name can be too long for pathlib
        )
    ]
    if missing:
        return CheckResult.warning(
            name,
            (
                'TLS may not work after the upgrade: no such file is there now, or none that the '
                f'user of the server can see, for {_places(missing)}. Put the files in their '
                'places or take the options out.'
            ),
            'TLS_FILE_MISSING',
        )
    return CheckResult.ok(name, 'Every TLS file that the configuration names is there.')


def _places(options: 'Sequence[option_files.Option] | Any') -> str:
    return ', '.join(f'{option.name} ({option.place})' for option in options)

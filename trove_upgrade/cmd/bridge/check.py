# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-bridge check`: what must be so before a run; only `--fix-templates` changes
something.
"""

import argparse
import dataclasses
import json
import pathlib
import socket
from collections.abc import Iterator, Sequence

from trove_upgrade import conf as our_conf
from trove_upgrade.bridge.preconditions.networks import Networks, Service
from trove_upgrade.bridge.preconditions.templates import Finding, Templates
from trove_upgrade.bridge.preconditions.versions import Versions
from trove_upgrade.cmd.bridge import way
from trove_upgrade.cmd.bridge.context import Context
from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import UsageError, print_line
from trove_upgrade.db import services
from trove_upgrade.db.migrations import gate
from trove_upgrade.domain.instances import DatastoreVersion
from trove_upgrade.domain.upgrade_checks import PASSING, CheckResult
from trove_upgrade.domain.versions import Rules

#: Exit code: a check does not pass.
_REFUSED = 1


def add_commands(commands: Commands) -> None:
    """Add `check`."""
    check = commands.add(
        'check',
        'look whether a run can go well, before anything is opened',
        description='Looks at the control plane, the versions in use and those that may follow, '
        'the way from each tenant network to what guests need, and the configuration templates '
        'of this controller. Exit code 1: a check does not pass.',
    )
    for option, what in (('--broker', 'broker'), ('--service', 'further service')):
        check.add_argument(
            option,
            action='append',
            default=[],
            metavar='HOST:PORT',
            help=f'{what} that guests must reach from each tenant network; several',
        )
    check.add_argument(
        '--template-path',
        action='append',
        default=[],
        metavar='DIR',
        help="directory of Trove's configuration templates on this controller, the one of the "
        'option template_path first; several',
    )
    check.add_argument(
        '--fix-templates',
        action='store_true',
        help='make the copies of templates that the report proposes',
    )
    check.add_argument('--json', action='store_true', help='a list of objects, for programs')
    way.add_options(check)
    check.set_defaults(command=_check)


def _check(run: Context, arguments: argparse.Namespace) -> int:
    if arguments.fix_templates and not arguments.template_path:
        raise UsageError('check: --fix-templates wants --template-path')
    needed = _services(arguments)
    results = []
    with way.made(arguments) as ways:
        for result in _results(run, arguments, ways, needed):
            results.append(result)
            if not arguments.json:
                print_line(f'{result.outcome:8} {result.name}: {result.message}')
    refused = sum(result.outcome not in PASSING for result in results)
    if arguments.json:
        print(json.dumps([dataclasses.asdict(result) for result in results], indent=2))
    else:
        print_line(f'{len(results)} checks, {refused} do not pass.')
    return _REFUSED if refused else 0


def _results(
    run: Context, arguments: argparse.Namespace, ways: way.Ways, needed: Sequence[Service]
) -> Iterator[CheckResult]:
    """Yield each result when it is known: a network that gives no answer takes seconds."""
    yield _control_plane(run)
    in_use = _versions_in_use(run)
    yield from _versions(run, in_use)
    if arguments.template_path:
        directories = tuple(pathlib.Path(path) for path in arguments.template_path)
        templates = Templates(directories=directories)
        yield from _templates(templates, in_use, is_fixing=arguments.fix_templates)
    else:
        yield _not_looked_at('templates', '--template-path')
    if not arguments.broker:
        yield _not_looked_at('broker', '--broker')
    networks = Networks(chooser=ways.chooser, services=needed, resolve=_resolve)
    yield from networks.look(run.inventory.take())


def _not_looked_at(name: str, option: str) -> CheckResult:
    return CheckResult.warning(name, f'Not looked at: name {option}.', 'BRIDGE_NOT_LOOKED_AT')


def _services(arguments: argparse.Namespace) -> list[Service]:
    named = [('broker', text) for text in arguments.broker]
    named += [('service', text) for text in arguments.service]
    found = []
    for what, text in named:
        host, colon, port = text.rpartition(':')
        host = host.removeprefix('[').removesuffix(']')
        if not colon or not host or not port.isdecimal():
            raise UsageError(f'check: {text}: write it as HOST:PORT')
        found.append(Service(what=what, host=host, port=int(port)))
    return found


def _versions_in_use(run: Context) -> list[DatastoreVersion]:
    found = {
        instance.version.id: instance.version
        for page in run.all_instances.pages()
        for instance in page
    }
    return list(found.values())


def _control_plane(run: Context) -> CheckResult:
    older = gate.older_taskmanager(run.repositories.services)
    if older is not None:
        return CheckResult.refused(
            'control plane',
            f'{older}. Upgrade it first: it closes no port and takes no sealed message.',
            'BRIDGE_CONTROL_PLANE_OLDER',
        )
    alive = [
        service
        for service in run.repositories.services.list()
        if service.binary == services.TASKMANAGER and not service.has_ended
    ]
    if not alive:
        return CheckResult.refused(
            'control plane',
            'No taskmanager is registered: none would close what a killed bridge leaves open.',
            'BRIDGE_CONTROL_PLANE_ABSENT',
        )
    return CheckResult.ok('control plane', f'{len(alive)} taskmanagers of this release.')


def _versions(run: Context, in_use: Sequence[DatastoreVersion]) -> Iterator[CheckResult]:
    rules = Rules.load(run.conf[our_conf.GROUP].version_rules_file)
    datastores = run.repositories.datastores
    yield from Versions(datastores=datastores, images=run.cloud.images, rules=rules).look(in_use)


def _templates(
    templates: Templates, in_use: Sequence[DatastoreVersion], *, is_fixing: bool
) -> Iterator[CheckResult]:
    for finding in templates.look(in_use):
        yield _fixed(finding) if is_fixing and finding.copy is not None else finding.result


def _fixed(finding: Finding) -> CheckResult:
    copy = finding.copy
    if copy is None:
        return finding.result
    try:
        copy.make()
    except OSError as error:
        found = f'{finding.result.message} It could not be copied: {error}.'
        return dataclasses.replace(finding.result, message=found)
    return CheckResult.ok(finding.result.name, f'Copied {copy.source} to {copy.target}.')


def _resolve(host: str) -> Sequence[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))

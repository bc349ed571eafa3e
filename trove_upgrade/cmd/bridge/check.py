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
from pathlib import PurePosixPath

from trove_upgrade import conf as our_conf
from trove_upgrade.bridge.bundle.archive import BundleInvalid
from trove_upgrade.bridge.old_broker import Broker
from trove_upgrade.bridge.preconditions.controllers import Controller, Controllers
from trove_upgrade.bridge.preconditions.guest_file import GuestFile
from trove_upgrade.bridge.preconditions.networks import Networks, Service
from trove_upgrade.bridge.preconditions.versions import Versions
from trove_upgrade.cmd.bridge import way, work
from trove_upgrade.cmd.bridge.context import Context
from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import UsageError, print_line
from trove_upgrade.conf import messaging
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
        'the configuration that guests get, the way from each tenant network to what guests need, '
        'the configuration templates of the controllers, and a bundle. Exit code 1: a check does '
        'not pass.',
    )
    from_file = ' (default: those of guest_config_file)'
    for option, what, more in (
        ('--broker', 'broker', from_file),
        ('--service', 'further service', ''),
    ):
        check.add_argument(
            option,
            action='append',
            default=[],
            metavar='HOST:PORT',
            help=f'{what} that guests must reach from each tenant network; several{more}',
        )
    check.add_argument(
        '--template-path',
        action='append',
        default=[],
        metavar='DIR',
        help="directory of Trove's configuration templates on the controllers, the one of the "
        'option template_path first; several',
    )
    check.add_argument(
        '--fix-templates',
        action='store_true',
        help='make the copies of templates that the report proposes, on each controller',
    )
    check.add_argument('--json', action='store_true', help='a list of objects, for programs')
    work.add_bundle(check)
    way.add_options(check)
    way.add_controllers(check)
    check.set_defaults(command=_check)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    """Places that an operator has named."""

    ways: way.Ways
    controllers: Sequence[Controller]
    brokers: Sequence[Service]
    services: Sequence[Service]


def _check(run: Context, arguments: argparse.Namespace) -> int:
    _require_paths(arguments)
    named = _services('broker', arguments.broker)
    services = _services('service', arguments.service)
    results = []
    with (
        way.made(arguments) as ways,
        way.controllers(arguments, ways.proofs) as controllers,
    ):
        asked = Asked(ways=ways, controllers=controllers, brokers=named, services=services)
        for result in _results(run, arguments, asked):
            results.append(result)
            if not arguments.json:
                print_line(f'{result.outcome:8} {result.name}: {result.message}')
    refused = sum(result.outcome not in PASSING for result in results)
    if arguments.json:
        print(json.dumps([dataclasses.asdict(result) for result in results], indent=2))
    else:
        print_line(f'{len(results)} checks, {refused} do not pass.')
    return _REFUSED if refused else 0


def _require_paths(arguments: argparse.Namespace) -> None:
    """Refuse directories of templates that are not named for all controllers."""
    for option in ('fix_templates', 'controller'):
        if getattr(arguments, option) and not arguments.template_path:
            raise UsageError(f'check: --{option.replace("_", "-")} wants --template-path')
    for path in arguments.template_path if arguments.controller else ():
        if not path.startswith('/'):
            raise UsageError(f'check: --template-path {path}: write it from the root on')


def _results(run: Context, arguments: argparse.Namespace, asked: Asked) -> Iterator[CheckResult]:
    """Yield each result when it is known: a network that gives no answer takes seconds."""
    yield _control_plane(run)
    yield _bundle(arguments)
    in_use = _versions_in_use(run)
    yield from _versions(run, in_use)
    if arguments.template_path:
        directories = tuple(
            PurePosixPath(pathlib.Path(path).absolute()) for path in arguments.template_path
        )
        looked = Controllers(controllers=asked.controllers, directories=directories)
        yield from looked.look(in_use, is_fixing=arguments.fix_templates)
    else:
        yield _not_looked_at('templates', '--template-path')
    file = _guest_file(run)
    if isinstance(file, CheckResult):
        yield file
    else:
        yield from file.look([_broker_of(service) for service in asked.brokers])
    brokers = asked.brokers or (() if isinstance(file, CheckResult) else _services_of(file.brokers))
    if not brokers:
        yield _not_looked_at('broker', '--broker, or transport_url in guest_config_file')
    networks = Networks(
        chooser=asked.ways.chooser, services=[*brokers, *asked.services], resolve=_resolve
    )
    yield from networks.look(run.inventory.take())


def _not_looked_at(name: str, option: str) -> CheckResult:
    return CheckResult.warning(name, f'Not looked at: name {option}.', 'BRIDGE_NOT_LOOKED_AT')


def _services(what: str, named: Sequence[str]) -> list[Service]:
    found = []
    for text in named:
        host, colon, port = text.rpartition(':')
        host = host.removeprefix('[').removesuffix(']')
        if not colon or not host or not port.isdecimal():
            raise UsageError(f'check: {text}: write it as HOST:PORT')
        found.append(Service(what=what, host=host, port=int(port)))
    return found


def _services_of(brokers: Sequence[Broker]) -> list[Service]:
    return [Service(what='broker', host=broker.host, port=broker.port) for broker in brokers]


def _broker_of(service: Service) -> Broker:
    return Broker(service.host.casefold(), service.port)


def _guest_file(run: Context) -> GuestFile | CheckResult:
    """Return `guest_config_file`, or the result where it cannot be read."""
    options = run.conf[our_conf.GROUP]
    path = options.guest_config_file
    try:
        text = pathlib.Path(path).read_text(encoding='utf-8') if path else ''
    except (OSError, UnicodeDecodeError) as error:
        message = f'{path} cannot be read: {error}. Put the file there, or unset the option.'
        return CheckResult.refused('guest_config_file', message, 'GUEST_CONFIG_FILE_UNREADABLE')
    return GuestFile(
        text=text,
        topic_prefix=options.guest_topic_prefix,
        prefixes_of_trove=messaging.PREFIXES_OF_TROVE,
    )


def _bundle(arguments: argparse.Namespace) -> CheckResult:
    try:
        bundle = work.bundle_of(arguments)
    except BundleInvalid as error:
        return CheckResult.refused('bundle', error.message, error.code)
    if bundle is None:
        return _not_looked_at('bundle', '--bundle')
    found = f'The SHA-256 of {bundle.path} is {bundle.sha256}, as it should be'
    if not bundle.is_signed:
        message = f'{found}. Its signature was not looked at: name --public-key.'
        return CheckResult.warning('bundle', message, 'BRIDGE_NOT_LOOKED_AT')
    return CheckResult.ok('bundle', f'{found}, and is signed by the key.')


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


def _resolve(host: str) -> Sequence[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))

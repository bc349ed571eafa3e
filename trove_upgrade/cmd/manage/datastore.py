# SPDX-License-Identifier: Apache-2.0
"""Datastores and their versions, by the names and arguments that Trove's own tool has."""

import argparse
import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.console.printing import UsageError, print_line, print_table
from trove_upgrade.cmd.manage.context import Context, load_json
from trove_upgrade.db import errors
from trove_upgrade.db.configuration_parameters import ConfigurationParameter
from trove_upgrade.db.datastores import VersionChange
from trove_upgrade.domain.image_archive import IMAGE_ID
from trove_upgrade.domain.image_reference import ImageReference

_ACTIVE = {'1': True, 'true': True, '0': False, 'false': False}
_VICTORIA, _TODAY = 3, 2  # how many words follow the image


@dataclasses.dataclass(frozen=True)
class _Form:
    """Form of a fact that is text."""

    pattern: re.Pattern[str]
    kind: str  #: what such a text is called
    advice: str  #: for one that is not


_FORMS = {
    'guest_rpc': _Form(
        re.compile(r'[0-9]{1,4}\.[0-9]{1,4}'),
        'version such as "1.2"',
        'Record what the agent in the image prints, as text, or leave it out where the image has '
        'none.',
    ),
    'container_image_id': _Form(
        IMAGE_ID,
        'id of a container image',
        'Write what "docker image inspect --format {{.Id}} IMAGE" prints, or leave it out.',
    ),
}
#: Facts of an image for databases in a container that tell of the agent and not of a server, which
#: is in another image.
_OF_CONTAINERS = ('schema', 'agent_version', 'guest_rpc', 'container_image', 'container_image_id')


def add_commands(commands: Commands) -> None:
    """Add the datastore commands."""
    _add_datastore_update(commands)
    _add_version_update(commands)
    rules = commands.add(
        'db_load_datastore_config_parameters', "load a version's configuration parameters"
    )
    _add_version_and_file(rules, "JSON file of Trove's validation rules")
    rules.set_defaults(command=_load_parameters)
    facts = commands.add(
        'datastore_version_facts', 'load what the image build recorded about a version'
    )
    _add_version_and_file(
        facts, 'JSON file that the image build wrote; without it what is loaded stays', nargs='?'
    )
    facts.add_argument(
        '--container-image-id',
        metavar='ID',
        help='id of the container image of the version, as an engine prints it: sha256:...; it is '
        'carried to guests on their volumes then',
    )
    facts.set_defaults(command=_load_facts)


def _add_datastore_update(commands: Commands) -> None:
    update = commands.add('datastore_update', 'add a datastore, or set its default version')
    update.add_argument('datastore', help='name of the datastore')
    update.add_argument('default_version', help="name or id of an active version; '' for none")
    update.set_defaults(command=_update)


def _add_version_update(commands: Commands) -> None:
    version = commands.add(
        'datastore_version_update',
        'add a version, or point it at another image',
        usage='%(prog)s [--image-tags TAGS] [--version NUMBER] datastore version manager image '
        '[image_tags] packages active',
        description='Adds a datastore version or changes the one of that name and number; '
        "the datastore is made where there is none. Both forms of Trove's tool are understood: "
        "Victoria's with the image tags as a word, and today's with --image-tags.",
    )
    version.add_argument('datastore', help='name of the datastore')
    version.add_argument('version_name', help='name of the version')
    version.add_argument('manager', help='which guest driver serves it, e.g. mariadb')
    version.add_argument('image_id', help="id of the image; '' where the tags choose it")
    version.add_argument(
        'rest',
        nargs='+',
        metavar='[image_tags] packages active',
        help='tags separated by commas (Victoria); packages; 1 or 0',
    )
    version.add_argument(
        '--image-tags', help='tags separated by commas: the newest image that has them all'
    )
    version.add_argument(
        '--version', help='number of the version, e.g. 10.11.14 (default: its name)'
    )
    version.set_defaults(command=_version_update)


def _add_version_and_file(
    parser: argparse.ArgumentParser, what: str, nargs: str | None = None
) -> None:
    parser.add_argument('datastore', help='name or id of the datastore')
    parser.add_argument('version_name', help='name or id of the version')
    parser.add_argument('file', help=what, nargs=nargs)
    parser.add_argument('--version', help='number of the version, where several have the name')


def _update(run: Context, arguments: argparse.Namespace) -> None:
    run.repositories.datastores.save_datastore(
        arguments.datastore, arguments.default_version or None
    )
    print_line(f"Datastore '{arguments.datastore}' updated.")


def _version_update(run: Context, arguments: argparse.Namespace) -> None:
    tags, packages, active = _words(arguments.rest, arguments.image_tags)
    if not arguments.image_id and not tags:
        raise UsageError(
            'datastore_version_update: an image or image tags are needed, both are empty'
        )
    change = run.repositories.datastores.save_version(
        arguments.datastore,
        arguments.version_name,
        manager=arguments.manager,
        image_id=arguments.image_id or None,
        image_tags=tags,
        packages=packages,
        active=active,
        number=arguments.version,
    )
    print_line(
        f"Datastore version '{arguments.version_name}({change.version.number})' "
        f'{"added" if change.created else "updated"}: {change.version.id}'
    )
    _print_older(run, change)


def _words(rest: Sequence[str], option: str | None) -> tuple[tuple[str, ...], str, bool]:
    if len(rest) not in {_VICTORIA, _TODAY}:
        raise UsageError(
            'datastore_version_update: after the image come [image_tags] packages active, not '
            f'{len(rest)} words'
        )
    if len(rest) == _VICTORIA and option is not None:
        raise UsageError(
            'datastore_version_update: image tags are given twice, as a word and as --image-tags'
        )
    tags = rest[0] if len(rest) == _VICTORIA else option or ''
    packages, active = rest[-2], rest[-1].lower()
    if active not in _ACTIVE:
        raise UsageError(f'datastore_version_update: active is 1 or 0, not {rest[-1]!r}')
    return tuple(tag.strip() for tag in tags.split(',') if tag.strip()), packages, _ACTIVE[active]


def _print_older(run: Context, change: VersionChange) -> None:
    """Repointing moves no running instance: say which ones wait for an upgrade to get the new
    image.
    """
    older = run.repositories.datastores.on_older_images(change.version)
    if older:
        print_line(
            f'{len(older)} of its instances run an older image; upgrade each to the same version '
            'to give it the new one:'
        )
        print_table(
            ('instance', 'name', 'project', 'image it runs'),
            [(row.instance_id, row.name, row.project_id, row.image_id) for row in older],
        )


def _load_parameters(run: Context, arguments: argparse.Namespace) -> None:
    version = run.version(arguments.datastore, arguments.version_name, arguments.version)
    loaded = load_json(arguments.file)
    advice = (
        'It needs a list "configuration-parameters" of objects with name, restart_required '
        'and type, and maybe max and min.'
    )
    try:
        parameters = [_parameter(entry) for entry in loaded['configuration-parameters']]
    except (KeyError, TypeError) as error:
        raise errors.ConfigurationRulesInvalid(
            path=arguments.file, found=f'{type(error).__name__} {error}', advice=advice
        ) from error
    count = run.repositories.datastores.save_configuration_parameters(version.id, parameters)
    print_line(
        f'{count} configuration parameters loaded for datastore version '
        f"'{version.name}({version.number})'."
    )


def _parameter(entry: dict[str, Any]) -> ConfigurationParameter:
    def text(key: str) -> str | None:
        return None if entry.get(key) is None else str(entry[key])

    return ConfigurationParameter(
        name=str(entry['name']),
        restart_required=bool(entry['restart_required']),
        data_type=str(entry['type']),
        max_size=text('max'),
        min_size=text('min'),
    )


def _require_image_name(path: str, facts: dict[str, Any]) -> None:
    if facts.get('container_image'):
        try:
            ImageReference.parse(facts['container_image'])
        except ValueError as error:
            raise errors.ConfigurationRulesInvalid(
                path=path,
                found=f'container_image is no name of an image: {error}',
                advice='Write it as a registry has it: repository, and a tag or a digest.',
            ) from error


def _require_form(path: str, facts: dict[str, Any]) -> None:
    """Refuse facts that are not of their form.

    :raises ConfigurationRulesInvalid: one is not.
    """
    for name, form in _FORMS.items():
        found = facts.get(name)
        if found is not None and not (isinstance(found, str) and form.pattern.fullmatch(found)):
            raise errors.ConfigurationRulesInvalid(
                path=path, found=f'{name} is no {form.kind}', advice=form.advice
            )


def _read_facts(path: str) -> dict[str, Any]:
    """Read what is loaded of the file.

    :raises ConfigurationRulesInvalid: it cannot be read, or has what no version has.
    """
    facts = load_json(path)
    if not isinstance(facts, dict):
        raise errors.ConfigurationRulesInvalid(
            path=path,
            found='it holds no JSON object',
            advice='Name the file that the image build wrote.',
        )
    _require_form(path, facts)
    if facts.get('database_runtime') == 'container':
        if 'guest_rpc' not in facts:
            raise errors.ConfigurationRulesInvalid(
                path=path,
                found='it is of an image for databases in a container, and has no guest_rpc',
                advice='Such a version is registered without facts, or with those of its agent: '
                'record guest_rpc in the image.',
            )
        facts = {name: facts[name] for name in _OF_CONTAINERS if name in facts}
    _require_image_name(path, facts)
    return facts


def _require_image_id(found: str | None) -> None:
    form = _FORMS['container_image_id']
    if found is not None and form.pattern.fullmatch(found) is None:
        raise UsageError(f'--container-image-id: {found!r} is no {form.kind}. {form.advice}')


def _load_facts(run: Context, arguments: argparse.Namespace) -> None:
    if arguments.file is None and arguments.container_image_id is None:
        raise UsageError('datastore_version_facts: a file or --container-image-id is needed')
    _require_image_id(arguments.container_image_id)
    version = run.version(arguments.datastore, arguments.version_name, arguments.version)
    if arguments.file is None:
        facts = dict(run.repositories.datastores.target_facts(version.id))
    else:
        facts = _read_facts(arguments.file)
    if arguments.container_image_id is not None:
        facts['container_image_id'] = arguments.container_image_id
    run.repositories.datastores.save_target_facts(version.id, facts)
    print_line(
        f'{len(facts)} target facts loaded for datastore version '
        f"'{version.name}({version.number})'."
    )

# SPDX-License-Identifier: Apache-2.0
"""openstack database upgrade check, and check show."""

import argparse

from troveupgradeclient import exceptions
from troveupgradeclient.osc.v1 import base, progress
from troveupgradeclient.osc.v1.exit_status import OF_CHECKS, ExitStatus
from troveupgradeclient.printable import printable
from troveupgradeclient.v1.resources import Check, CheckState

#: Codes of a version that the instance may not be upgraded to, of which there is no report.
_NOT_ALLOWED = frozenset(
    {'VERSION_NOT_ALLOWED', 'DATASTORE_VERSION_INACTIVE', 'DATASTORE_VERSION_HAS_NO_IMAGE'}
)
_SAME_IMAGE = (
    'The instance has this version and was booted from its image: an upgrade would bring the same '
    'image.'
)


class CheckUpgrade(base.Following):
    """Check whether an upgrade would be let begin, and change nothing"""

    statuses = OF_CHECKS

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        base.add_instance_and_version(parser, 'Version (name or id)')
        parser.add_argument(
            '--no-wait',
            dest='wait',
            action='store_false',
            help='Return at once; the report is shown later by: openstack database upgrade check '
            'show',
        )
        base.add_pace(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> base.Shown:
        instance = self.client.instances.find(parsed_args.instance)
        version = parsed_args.datastore_version
        if self.client.targets.is_booted(instance.id, version):
            self.app.stderr.write(f'{_SAME_IMAGE}\n')
        try:
            with self.sending(progress.of_check_unseen(instance.id, version)):
                found = self.client.checks.create(instance.id, version)
        except exceptions.RequestRefused as refused:
            if refused.code in _NOT_ALLOWED:
                self.status = ExitStatus.CHECK_REFUSED
            raise
        if parsed_args.wait:
            found = self.follow_check(found, parsed_args)
            if found.has_ended:
                self.status = _status(found)
            if found.state == CheckState.FAILED:
                self.app.stderr.write(f'{_cause(found)}\n')
        return self.shown(found)


class ShowCheck(base.ShowOne):
    """Show the report of a check"""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            'instance', type=base.given, metavar='<instance>', help=base.INSTANCE_HELP
        )
        parser.add_argument('check', type=base.given, metavar='<check>', help='Id of the check')

    def take_action(self, parsed_args: argparse.Namespace) -> base.Shown:
        instance = self.client.instances.find(parsed_args.instance)
        return self.shown(self.client.checks.get(instance.id, parsed_args.check))


def _cause(check: Check) -> str:
    """Return why the report could not be made, with its code at the end."""
    cause, code = check.cause or 'The report could not be made.', f'({check.error_code})'
    return printable(cause if check.error_code is None or code in cause else f'{cause} {code}')


def _status(check: Check) -> ExitStatus:
    if check.state == CheckState.FAILED:
        return ExitStatus.ERROR
    return ExitStatus.AS_ASKED if check.allowed else ExitStatus.CHECK_REFUSED

# SPDX-License-Identifier: Apache-2.0
"""Brings our agent into an old guest, beside the old agent, and takes it out again.

Every command of the installer may be run again: a push that was cut off is pushed anew from its
beginning.  Neither the old agent nor the database is stopped.
"""

import contextlib
import dataclasses
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Protocol

from trove_upgrade.bridge import guest, guest_configuration
from trove_upgrade.bridge.guest_configuration import Composed, OldGuest
from trove_upgrade.bridge.guest_facts import GuestFacts, Needs
from trove_upgrade.bridge.reach.ports import Outcome, Progress, Shell
from trove_upgrade.domain import exceptions

_SHORT_SECONDS = 60.0
_UPLOAD_SECONDS = 900.0
_LONG_SECONDS = 300.0
#: The installer waits so long for an agent that stays.
_START_SECONDS = 90
#: More than a configuration of an agent has.
_FILE_BYTES = 1 << 18
_REFUSED = 4
#: Of an output; so much of it from its beginning, the rest from its end.
_SHOWN, _SHOWN_FIRST = 600, 150


class InstallerFailed(exceptions.TroveUpgradeError):
    """A command of the installer did not do its work."""

    code = 'BRIDGE_INSTALLER_FAILED'
    template = (
        'Our agent could not be brought in: "{command}" of the installer has failed: {found}. '
        'Mend what it names in the guest and run the bridge again.'
    )


class AgentNotStarted(InstallerFailed):
    """Our agent does not start, or ends again and again."""

    code = 'BRIDGE_AGENT_NOT_STARTED'
    template = (
        'Our agent does not stay up in this guest: {found}. Mend what its last words name, mostly '
        'guest_config_file, and run the bridge again.'
    )


class InstallerRefused(exceptions.TroveUpgradeError):
    """The installer would have had to change what is not the bridge's."""

    code = 'BRIDGE_INSTALLER_REFUSED'
    template = (
        'The installer refused "{command}": {found}. Look at the file that it names in the guest; '
        'it was left as it is.'
    )


class SelfTestFailed(exceptions.TroveUpgradeError):
    """The bundle does not work in a guest."""

    code = 'BRIDGE_SELF_TEST_FAILED'
    template = (
        'The bundle does not run in this guest: {found}. Make a bundle for it, or move its data by '
        'a backup.'
    )


class NeighbourEnded(exceptions.TroveUpgradeError):
    """The old agent or the database has not run all the while."""

    code = 'BRIDGE_NEIGHBOUR_ENDED'
    template = (
        'While our agent was brought in, this ended in the guest: {found}. The installer stops '
        'neither of them. Look at the logs and at the memory of the guest.'
    )


class StagingFailed(exceptions.TroveUpgradeError):
    """The files for a guest cannot be read or written on the host of the bridge."""

    code = 'BRIDGE_STAGING_FAILED'
    template = (
        'The files for the guest cannot be made on this host: {found}. Look whether the bundle is '
        'still there, make room in {place} or let TMPDIR name a directory that has some, and run '
        'the bridge again.'
    )


class SentFile(Protocol):
    """Archive that a guest can unpack."""

    @property
    def path(self) -> pathlib.Path:
        """Return where it is; its name ends with .tar.xz or .tar.gz."""

    @property
    def sha256(self) -> str:
        """Return its digest."""


class Bundle(Protocol):
    """Bundle that was checked."""

    @property
    def sha256(self) -> str:
        """Return the digest that was signed."""

    @property
    def manifest(self) -> Needs:
        """Return what it needs."""

    def for_guest(self, directory: pathlib.Path, *, has_xz: bool) -> SentFile:
        """Return the archive for a guest with or without xz; a new one is written there.

        :raises OSError: there is no place for it.
        :raises BundleChanged: it is another one since it was checked.
        """

    def require_same(self, sha256: str) -> None:
        """Refuse an archive that has another digest than when it was checked.

        :raises BundleChanged: it has.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Instance:
    """Instance as Trove's rows have it."""

    id: str
    project_id: str
    datastore_manager: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pusher:
    """Brings one bundle into guests."""

    bundle: Bundle
    #: of the operator's `guest_config_file`; it holds the account of guests
    operators_text: str = dataclasses.field(repr=False)

    def look(self, shell: Shell) -> GuestFacts:
        """Return what is in the guest; changes nothing.

        :raises GuestUnsuitable: its shell does not run the installer.
        :raises ReachError: the guest was not asked to the end.
        """
        outcome = _run(shell, 'inspect', timeout_seconds=_LONG_SECONDS)
        return GuestFacts.from_output(outcome.stdout.decode('utf-8', 'replace'))

    def prepare(self, shell: Shell, instance: Instance) -> tuple[GuestFacts, Composed]:
        """Return what is in the guest and our agent's configuration for it; changes nothing.

        :raises GuestUnsuitable: the bundle cannot run there.
        :raises GuestConfigurationUnusable: no configuration can be composed.
        :raises ReachError: the guest was not asked to the end.
        """
        found = self.look(shell)
        found.require(self.bundle.manifest)
        texts = [
            shell.read_file(
                path, limit_bytes=_FILE_BYTES, timeout_seconds=_SHORT_SECONDS, as_root=True
            ).decode('utf-8', 'replace')
            for path in found.agent_files
        ]
        old = OldGuest(
            instance_id=instance.id,
            project_id=instance.project_id,
            datastore_manager=instance.datastore_manager,
            files=texts,
            agent_services=found.agent_services,
        )
        return found, guest_configuration.compose(old, self.operators_text)

    def push(
        self,
        shell: Shell,
        found: GuestFacts,
        composed: Composed,
        key: bytes,
        progress: Progress | None = None,
    ) -> GuestFacts:
        """Bring the agent in and start it; return what is in the guest then.  `key` is the content
        of the guest's key file.

        :raises InstallerFailed, InstallerRefused, SelfTestFailed: it could not be; what was made
            is removed by `remove`.
        :raises StagingFailed, BundleChanged: this host could not send it.
        :raises NeighbourEnded: the old agent or the database did not run all the while.
        :raises ReachError: unknown how far it came.
        """
        if found.our_agent_runs:
            _require(shell, 'stop')
        staging = _value(_require(shell, 'prepare'), 'staging')
        with _private_directory() as here:
            sha256 = self._bring(shell, here, staging, has_xz=found.has_xz, progress=progress)
            files = {
                'agent.conf': composed.text.encode(),
                'guest.key': key,
                **{name: guest.read(name) for name in guest.SERVICES},
            }
            for name, content in files.items():
                (here / name).touch(mode=0o600)
                (here / name).write_bytes(content)
                _upload(shell, here / name, f'{staging}/{name}', 0o600, None)
        _require(shell, 'configure', sha256)
        _require(shell, 'start', str(_START_SECONDS))
        return self._after(shell, found)

    def _bring(
        self,
        shell: Shell,
        here: pathlib.Path,
        staging: str,
        *,
        has_xz: bool,
        progress: Progress | None,
    ) -> str:
        """Send the bundle, unpack it and let it test itself; return the digest of what was sent."""
        sent = self.bundle.for_guest(here, has_xz=has_xz)
        archive = f'{staging}/{sent.sha256[:16]}{"".join(sent.path.suffixes[-2:])}'
        digest = _upload(shell, sent.path, archive, 0o600, progress)
        if digest != sent.sha256:
            self.bundle.require_same(digest)
        _require(shell, 'verify', archive, sent.sha256)
        _require(shell, 'unpack', archive, sent.sha256)
        _self_test(shell, sent.sha256)
        return sent.sha256

    def _after(self, shell: Shell, before: GuestFacts) -> GuestFacts:
        now = self.look(shell)
        ended = now.ended_since(before)
        if ended:
            raise NeighbourEnded(found=', '.join(ended))
        return now


def remove(shell: Shell) -> None:
    """Remove all that was ever pushed.  Safe to repeat.

    :raises InstallerFailed, InstallerRefused: something of it is left.
    :raises ReachError: unknown how far it came.
    """
    _require(shell, 'remove')


def _run(shell: Shell, *words: str, timeout_seconds: float) -> Outcome:
    """Run a command of the installer, whose text is the shell's input: nothing of it stays."""
    return shell.run(
        ['sh', '-s', '--', *words],
        input=guest.read(guest.INSTALLER),
        timeout_seconds=timeout_seconds,
        as_root=True,
    )


def _require(shell: Shell, *words: str) -> Outcome:
    outcome = _run(shell, *words, timeout_seconds=_LONG_SECONDS)
    if outcome.exit_code == 0:
        return outcome
    found = _words(outcome.stderr) or f'code {outcome.exit_code}'
    if outcome.exit_code == _REFUSED:
        raise InstallerRefused(command=words[0], found=found)
    kind = AgentNotStarted if words[0] == 'start' else InstallerFailed
    raise kind(command=words[0], found=found)


def _self_test(shell: Shell, sha256: str) -> None:
    outcome = _run(shell, 'self-test', sha256, timeout_seconds=_LONG_SECONDS)
    if outcome.exit_code == 0:
        return
    failed = [line for line in outcome.stdout.splitlines() if b'FAILED' in line]
    raise SelfTestFailed(found=_words(b' '.join(failed) or outcome.stderr))


def _upload(
    shell: Shell, source: pathlib.Path, path: str, mode: int, progress: Progress | None
) -> str:
    """Send a file, and return the SHA-256 of what was sent."""
    return shell.upload(
        source,
        path,
        mode=mode,
        timeout_seconds=_UPLOAD_SECONDS,
        as_root=True,
        progress=progress,
    )


def _value(outcome: Outcome, name: str) -> str:
    """Return a value of the installer's output.

    :raises InstallerFailed: it has none.
    """
    for line in outcome.stdout.decode('utf-8', 'replace').splitlines():
        found, _, value = line.partition('=')
        if found == name and value:
            return value
    raise InstallerFailed(command=name, found='it gave no answer')


def _words(output: bytes) -> str:
    """Return an output in one line of printable text: of a long one the beginning and the end."""
    text = ' '.join(output.decode('utf-8', 'replace').split())
    text = ''.join(one for one in text if one.isprintable()).rstrip('.')
    if len(text) <= _SHOWN:
        return text
    return f'{text[:_SHOWN_FIRST]} ... {text[_SHOWN_FIRST - _SHOWN :]}'


@contextlib.contextmanager
def _private_directory() -> Iterator[pathlib.Path]:
    """Make a directory for this process's user alone; it is gone afterwards.

    :raises StagingFailed: a file of this host could not be read or written meanwhile.
    """
    try:
        with tempfile.TemporaryDirectory(prefix='trove-upgrade-bridge-') as path:
            yield pathlib.Path(path)
    except OSError as error:
        raise StagingFailed(found=error, place=tempfile.gettempdir()) from error

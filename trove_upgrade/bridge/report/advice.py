# SPDX-License-Identifier: Apache-2.0
"""Advice for each reason for which an instance was left out or has failed: what is left to the
operator.
"""

import types
from collections.abc import Mapping

from trove_upgrade.bridge import guest_configuration, guest_facts, pusher, visit
from trove_upgrade.bridge.bundle import archive
from trove_upgrade.bridge.reach import errors
from trove_upgrade.bridge.report.remedies import Advice, Remedy
from trove_upgrade.bridge.steps import prove, upgrade, verify
from trove_upgrade.domain import bridge_ends, database_service, exceptions, network, openings
from trove_upgrade.domain.inventory import Obstacle
from trove_upgrade.sealing import at_rest

_RECREATED = (
    'Have its tenant make a backup, or a dump where the datastore has none, and create a new '
    'instance of a newer version from it.'
)
_Kind = type[exceptions.TroveUpgradeError]


def _for(remedy: Remedy, text: str, *ends: Obstacle | _Kind) -> tuple[tuple[str, ...], Advice]:
    """Return the codes that one advice is for, with it."""
    codes = (one if isinstance(one, Obstacle) else one.code for one in ends)
    return tuple(str(code) for code in codes), Advice(remedy, text)


#: For what the inventory leaves out.
_OBSTACLES = (
    _for(
        Remedy.MANUAL_STEP,
        "Mend the datastore version of the instance in Trove's tables, then run again.",
        Obstacle.VERSION_GONE,
    ),
    _for(
        Remedy.LOOK,
        'See whether the instance is still there, and look at Nova by a login that sees all '
        'projects: one that has lost its server can only be deleted, or restored from a '
        'backup.',
        Obstacle.NO_SERVER,
        Obstacle.SERVER_NOT_FOUND,
    ),
    _for(
        Remedy.MANUAL_STEP,
        'Start the server, or mend it, then run again.',
        Obstacle.SERVER_NOT_ACTIVE,
    ),
    _for(
        Remedy.MANUAL_STEP,
        'Give the server a NIC with an address that Nova shows, too, then run again.',
        Obstacle.NO_PORT,
    ),
    _for(
        Remedy.RUN_AGAIN,
        "Wait for the end of Trove's task on it, or mend its state, then run again.",
        Obstacle.BUSY,
    ),
    _for(
        Remedy.RECREATE,
        'Members of clusters are not upgraded in place: create a new cluster, and move its '
        'data by a backup or by replication.',
        Obstacle.IN_CLUSTER,
    ),
    _for(Remedy.RECREATE, _RECREATED, Obstacle.NO_DRIVER),
    _for(
        Remedy.UPGRADE, 'Upgrade it as any other instance; it needs no bridge.', Obstacle.HAS_AGENT
    ),
    _for(
        Remedy.MANUAL_STEP,
        'Register a version that may follow its own ("trove-upgrade-bridge check" shows which '
        'may), or name another one with --upgrade-to, then run again.',
        Obstacle.NO_TARGET,
    ),
)
#: For what can be wrong between the bridge and a guest.
_WAY_IN = (
    _for(
        Remedy.MANUAL_STEP,
        'Name the network node that leads into its network, with --node, or run the bridge '
        'there, then run again.',
        visit.NoWayIn,
        errors.NoRoute,
        errors.NamespaceRefused,
    ),
    _for(
        Remedy.MANUAL_STEP,
        'Mend what the message names on the network node (its SSH server, sudo, ip, python3), '
        'then run again.',
        errors.RelayFailed,
    ),
    _for(
        Remedy.MANUAL_STEP,
        "Start the guest's SSH server on the console of its server, then run again. Where it "
        f'cannot be started: {_RECREATED[:1].lower()}{_RECREATED[1:]}',
        errors.ConnectionRefused,
        errors.TimedOut,
        errors.NoSession,
    ),
    _for(
        Remedy.LOOK,
        'Look at the load of the guest and at its SSH server, on its console, then run again.',
        errors.ServerSilent,
    ),
    _for(
        Remedy.RUN_AGAIN,
        'Run again; where it lasts, look at the load and at the console of the guest.',
        errors.ConnectionLost,
        errors.CommandTimedOut,
    ),
    _for(
        Remedy.MANUAL_STEP,
        'Allow the old algorithm with --allow-sha1-rsa in another run.',
        errors.NoCommonAlgorithm,
    ),
    _for(
        Remedy.MANUAL_STEP,
        'Compare the new fingerprint on the console of its server. If it is right, run '
        '"trove-upgrade-bridge forget-host-key SERVER" and then again; else look for what '
        'answers in its place.',
        errors.HostKeyChanged,
    ),
    _for(
        Remedy.MANUAL_STEP,
        "Record the network node's host key in the file of --known-hosts, then run again.",
        errors.NodeKeyUnknown,
    ),
    _for(
        Remedy.MANUAL_STEP,
        'Give an account that it takes and that becomes root (--accounts), or set one on the '
        f'console of its server, then run again. Where all credentials are lost: '
        f'{_RECREATED[:1].lower()}{_RECREATED[1:]}',
        errors.LoginRefused,
        errors.SudoRefused,
        guest_facts.NoRoot,
    ),
    _for(
        Remedy.MANUAL_STEP,
        'Mend the file that the message names, then run again.',
        errors.LoginFileRefused,
        errors.LoginUnusable,
    ),
)
#: For what can be wrong in a guest.
_GUESTS = (
    _for(
        Remedy.RECREATE,
        f'The bundle cannot run in it. {_RECREATED}',
        guest_facts.GuestUnsuitable,
        guest_facts.LibcTooOld,
        guest_facts.OtherArchitecture,
        pusher.SelfTestFailed,
    ),
    _for(
        Remedy.MANUAL_STEP,
        'Install the program that the message names, then run again. Where its distribution '
        f'has none: {_RECREATED[:1].lower()}{_RECREATED[1:]}',
        guest_facts.ProgramsMissing,
    ),
    _for(
        Remedy.MANUAL_STEP,
        'Make room on the root disk of the guest, then run again.',
        guest_facts.GuestFull,
        errors.UploadFailed,
    ),
    _for(
        Remedy.UPGRADE,
        'Our agent is in it: upgrade it as any other instance, or wait for the upgrade that '
        'has it in hand.',
        guest_facts.HasAgent,
    ),
    _for(
        Remedy.MANUAL_STEP,
        'Look at the file that the message names in the guest, mend it, then run again.',
        pusher.InstallerFailed,
        pusher.InstallerRefused,
        errors.FileUnreadable,
    ),
    _for(
        Remedy.MANUAL_STEP,
        'Mend guest_config_file, or what the last words of our agent name, then run again.',
        pusher.AgentNotStarted,
    ),
    _for(
        Remedy.LOOK,
        'See that the old agent and the database run in the guest, and look at its memory and '
        'logs, then run again.',
        pusher.NeighbourEnded,
    ),
    _for(
        Remedy.MANUAL_STEP,
        'See that the guest reaches the broker that guest_config_file names, and that its '
        'database runs; the log of a taskmanager tells what was not believed. Then run again.',
        prove.AgentNotHeard,
    ),
    _for(
        Remedy.MANUAL_STEP,
        'Mend guest_config_file, or the configuration of the old agent that the message names, '
        'then run again.',
        guest_configuration.GuestConfigurationUnusable,
    ),
    _for(
        Remedy.MANUAL_STEP,
        'Fetch the bundle again with its digest and signature, then resume.',
        archive.BundleInvalid,
    ),
    _for(
        Remedy.MANUAL_STEP,
        'Put the bundle back as its .sha256 names it, and find out what has changed it, then '
        'run again.',
        archive.BundleChanged,
    ),
    _for(
        Remedy.MANUAL_STEP,
        'Make room on the host of the bridge where the message tells, then run again.',
        pusher.StagingFailed,
    ),
)
#: For what services may answer, or not.
_CLOUD = (
    _for(
        Remedy.RUN_AGAIN,
        'Run again when the service answers that the message names.',
        network.NetworkUnavailable,
        exceptions.ComputeUnavailable,
        database_service.DatabaseServiceUnavailable,
    ),
    _for(
        Remedy.MANUAL_STEP,
        'Raise the quota of security groups of its project by one and of rules by three, then '
        'run again.',
        network.GroupQuotaExhausted,
    ),
    _for(
        Remedy.MANUAL_STEP,
        "Mend the cause in the service's own words above, then run again.",
        network.NetworkRefused,
        database_service.DatabaseServiceRefused,
    ),
    _for(
        Remedy.MANUAL_STEP,
        'Find the client that changes its port at the same time, then run again; "audit" shows '
        'what is open meanwhile.',
        network.PortChanged,
        network.GroupInUse,
    ),
    _for(
        Remedy.LOOK,
        "Ask the project's owner what deletes the security group of the bridge, then run again.",
        network.GroupGone,
    ),
    _for(
        Remedy.RUN_AGAIN,
        'See whether the instance is still there and has its NIC; run again.',
        network.PortNotFound,
        exceptions.InstanceNotFound,
    ),
    _for(
        Remedy.MANUAL_STEP,
        "Compare Nova's and Neutron's ports of its server, by a login that sees hardware "
        'addresses, then run again.',
        network.PortsNotShown,
    ),
    _for(
        Remedy.RUN_AGAIN,
        'Another run works on it, or has left it open: wait for that one, or close it with '
        '"trove-upgrade-bridge reap", then run again.',
        openings.PortAlreadyOpen,
        openings.OpeningLapsed,
    ),
    _for(
        Remedy.MANUAL_STEP,
        'Log in as an administrator of Neutron, then run again.',
        openings.OpeningNotVisible,
    ),
    _for(
        Remedy.MANUAL_STEP,
        'Name the endpoint of the database service that has it, then run again.',
        database_service.NotOffered,
    ),
)
#: For what can become of the upgrade, and of the run itself.
_UPGRADES = (
    _for(
        Remedy.LOOK,
        'Look at it with "trove-upgrade-manage upgrade show", and retry it there or roll it back.',
        upgrade.UpgradeNotCompleted,
    ),
    _for(
        Remedy.WAIT,
        "Wait for the end of the other client's upgrade, then look at it.",
        bridge_ends.OtherUpgrade,
    ),
    _for(
        Remedy.WAIT,
        "Let the other client's upgrade proceed when its time has come; or abort it and run again.",
        bridge_ends.UpgradeHeld,
    ),
    _for(
        Remedy.RUN_AGAIN,
        'Its upgrade was aborted on request. Ask its owner, then run again.',
        bridge_ends.UpgradeAborted,
    ),
    _for(
        Remedy.MANUAL_STEP,
        'See that the endpoint of the database service is the API of this product, and that '
        'the guest is heard, then run again.',
        upgrade.UpgradeNotBegun,
    ),
    _for(
        Remedy.LOOK,
        'The upgrade itself is complete. Mend what the message names on the instance.',
        verify.NotVerified,
    ),
    _for(Remedy.NOTHING, 'It was deleted.', bridge_ends.InstanceGone),
    _for(
        Remedy.RUN_AGAIN,
        'An operator ended the run before its turn. Run again.',
        bridge_ends.RunAborted,
    ),
    _for(
        Remedy.MANUAL_STEP,
        'Set [trove_upgrade] guest_key_encryption_keys to those of the taskmanagers, then run '
        'again.',
        at_rest.EncryptionKeysInvalid,
        at_rest.KeyUnreadable,
    ),
    _for(
        Remedy.LOOK,
        'A fault of the program: find its traceback in the log of the bridge, and report it '
        'as a bug. Run again.',
        exceptions.TroveUpgradeError,
    ),
)


#: Of each code that can end a member.
ADVICE: Mapping[str, Advice] = types.MappingProxyType(
    {
        code: advice
        for part in (_OBSTACLES, _WAY_IN, _GUESTS, _CLOUD, _UPGRADES)
        for codes, advice in part
        for code in codes
    }
)
#: Of a code of another release.
UNKNOWN = Advice(Remedy.LOOK, 'Look at its cause; the reference of errors explains the code.')


def of_code(code: str | None) -> Advice:
    """Return what is left of an instance that ended with a code."""
    return ADVICE.get(code or '', UNKNOWN)

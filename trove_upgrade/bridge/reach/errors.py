# SPDX-License-Identifier: Apache-2.0
"""Errors on the way to an old guest: the network, the server's key, the login, the command."""

from trove_upgrade.domain.exceptions import TroveUpgradeError


class ReachError(TroveUpgradeError):
    """Base of what can go wrong between the bridge and a guest: the member stops, not the run."""


class NoRoute(ReachError):
    """No place is known from which the tenant network can be entered."""

    code = 'REACH_NO_ROUTE'
    template = (
        'No route leads into network {network_id}: {found}. Name the network node that serves '
        'its DHCP, or run the bridge there.'
    )


class NamespaceRefused(ReachError):
    """A namespace would have a name that no agent of Neutron gives."""

    code = 'REACH_NAMESPACE_REFUSED'
    template = (
        'The namespace {namespace} was not entered: its name is not "qdhcp-" or "ovnmeta-" and the '
        'id of a network. Give the id of the network as Neutron shows it.'
    )


class RelayFailed(ReachError):
    """The program that connects inside a namespace did not run, or not to its end."""

    code = 'REACH_RELAY_FAILED'
    template = (
        'No connection was tried {route}: {found}. See that "ip netns exec" runs there as root '
        '(sudo -n where the login is not root), and that python3 is 3.6 or later.'
    )


class ConnectionRefused(ReachError):
    """The network or the guest has answered that there is no way or no server."""

    code = 'REACH_REFUSED'
    template = (
        'There is no connection to {address} port {port} {route}: {found}. See that the guest '
        'runs its SSH server there, and that the address is of this network.'
    )


class TimedOut(ReachError):
    """One phase of a connection has taken longer than its limit."""

    code = 'REACH_TIMED_OUT'
    template = (
        'There is no connection to {address} port {port} {route}: no answer to the {phase} within '
        '{seconds} s. See that the security group of the guest lets {source} in, and that '
        'the guest runs.'
    )


class ServerSilent(TimedOut):
    """A connection is there, and its server has taken longer than the limit of one phase."""

    code = 'REACH_SILENT'
    template = (
        'The server at {address} port {port} {route} has taken the connection, and then gave no '
        'answer to the {phase} within {seconds} s. Look at the load of the guest and at its SSH '
        'server, on its console where no login comes about.'
    )


class ConnectionLost(ReachError):
    """A connection that was there has ended: unknown how far the guest has come."""

    code = 'REACH_LOST'
    template = (
        'The connection to {address} port {port} {route} was lost: {found}. Try again; look at '
        'the console of the server if this lasts.'
    )


class NoSession(ReachError):
    """The server takes no further session on the connection, or no command at all."""

    code = 'REACH_NO_SESSION'
    template = (
        'The SSH server at {address} port {port} {route} began no command: {found}. See that the '
        'account may run commands there, and look at MaxSessions of the server.'
    )


class NoCommonAlgorithm(ReachError):
    """The server and the bridge have no algorithm in common."""

    code = 'REACH_NO_ALGORITHM'
    template = (
        'The SSH server at {address} port {port} {route} was not logged in to: {found}. Allow '
        'RSA with SHA-1 for old guests (--allow-sha1-rsa) if its only host key is an RSA key of an '
        'OpenSSH before 7.2.'
    )


class HostKeyChanged(ReachError):
    """The server has another key than the one that was pinned: it got no password."""

    code = 'HOST_KEY_CHANGED'
    template = (
        'The SSH server of {server_id} was not logged in to: its host key was {pinned} and is '
        '{found}. If the server was rebuilt or its key replaced, compare the new fingerprint on '
        'its console and record the key anew; otherwise look for what answers in its place.'
    )


class NodeKeyUnknown(ReachError):
    """The key of a network node or controller is not in the operator's file: it is never taken at
    first sight.
    """

    code = 'NODE_KEY_UNKNOWN'
    template = (
        'The host {node} was not logged in to: {path} has no host key of it. Record it '
        'with "ssh-keyscan -p {port} {node} >> {path}", and compare the fingerprints on the node '
        '("ssh-keygen -l -f" of the files /etc/ssh/ssh_host_*_key.pub).'
    )


class LoginRefused(ReachError):
    """The server did not take the login."""

    code = 'LOGIN_REFUSED'
    template = (
        'The login of {user} at {server_id} {route} was refused: {found}. Give the account of this '
        'instance in the file of --accounts, or a key that its OpenSSH takes (one before 7.2 takes '
        'no RSA key without --allow-sha1-rsa); --ssh-agent offers the keys of an SSH agent.'
    )


class LoginFileRefused(ReachError):
    """A file with a secret can be read by other accounts, or belongs to one."""

    code = 'LOGIN_FILE_REFUSED'
    template = (
        'The file {path} was not read: {found}. Give it to the account that runs the bridge, '
        'with mode 0600.'
    )


class LoginUnusable(ReachError):
    """An account, a key or a file of them has a form that cannot be used."""

    code = 'LOGIN_UNUSABLE'
    template = 'The login from {path} cannot be used: {found}. Mend it and try again.'


class SudoRefused(ReachError):
    """The login works, and does not become root."""

    code = 'SUDO_REFUSED'
    template = (
        'The login {user} did not become root {route}: {found}. Allow it sudo without a password, '
        'or give its password in a file; "requiretty" in sudoers must be off for it.'
    )


class CommandTimedOut(ReachError):
    """A command has not ended in its time; it may still run in the guest."""

    code = 'COMMAND_TIMED_OUT'
    template = (
        'The command {command} {route} has not ended within {seconds} s, and may still run there. '
        'Look at the load of the guest and try again.'
    )


class UploadFailed(ReachError):
    """A file did not arrive whole; nothing stands under its name."""

    code = 'UPLOAD_FAILED'
    template = (
        'The file {path} was not written {route}: {found}. See that its directory exists and has '
        'room, and try again.'
    )


class FileUnreadable(ReachError):
    """A file of the guest cannot be read, or is longer than expected."""

    code = 'GUEST_FILE_UNREADABLE'
    template = 'The file {path} was not read {route}: {found}. Look at the file in the guest.'

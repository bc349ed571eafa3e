# SPDX-License-Identifier: Apache-2.0
"""Turns a freshly booted guest of an old image into an instance as old clouds have them.

For callers::

    files = injected_files(OldGuest(instance_id=..., project_id=..., transport_url=...,
                                    authorized_key='ssh-ed25519 ...'))
    # Nova, or a GuestSpec, puts them on the root disk; no user data goes with them
    credentials = provision(guest)  # MariaDB 10.5 on the volume, under the service of its package

An operator logs in as root, or as `trove` with sudo; with a password as `trove` alone.
"""

from __future__ import annotations

import dataclasses

from lab.images import provision as new_guests
from lab.images.provision import LAB_CREDENTIALS, Credentials
from lab.servers import DATABASE_MOUNT, Server

GUEST_INFO = '/etc/trove/conf.d/guest_info.conf'
AGENT_CONF = '/etc/trove/conf.d/trove-guestagent.conf'
#: What `chpasswd` reads; the guest removes it at its first boot.
PASSWORDS = '/etc/trove/lab-password'
AUTHORIZED_KEYS = '/root/.ssh/authorized_keys'
CLIENT_FILE = '/root/.my.cnf'
SETTINGS_FILE = new_guests.SETTINGS_FILE
_START_SECONDS = 180

#: As the agent of old prepared an instance: mount, which it gave to the server with all that is in
#: it, data directory, database, service.
_PREPARE = f"""
mountpoint -q {DATABASE_MOUNT} || mount "UUID=$1" {DATABASE_MOUNT}
[ -d {DATABASE_MOUNT}/data ] || chown -R mysql:mysql {DATABASE_MOUNT}
install -d -o mysql -g mysql -m 0750 {DATABASE_MOUNT}/data
grep -q "^UUID=$1 " /etc/fstab || echo "UUID=$1 {DATABASE_MOUNT} ext4 defaults,noatime,nofail 0 0" \
>> /etc/fstab
[ -d {DATABASE_MOUNT}/data/mysql ] || mariadb-install-db --user=mysql \
--datadir={DATABASE_MOUNT}/data --skip-test-db \
    --auth-root-authentication-method=socket > /dev/null
if [ -d /run/systemd/system ]; then
    systemctl enable mariadb.service
    systemctl restart mariadb.service
else
    update-rc.d mariadb defaults
    service mariadb restart
fi
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OldGuest:
    """Facts that the control plane of old wrote into a guest, and the key of its operators.

    `transport_url` is the broker as the guest reaches it; `heartbeat_seconds` the interval of the
    old agent; `password` one of the account `trove`, which has none by default.
    """

    instance_id: str
    project_id: str
    transport_url: str
    authorized_key: str
    datastore_manager: str = 'mariadb'
    heartbeat_seconds: int = 10
    password: str | None = None


def injected_files(guest: OldGuest) -> dict[str, bytes]:
    """Files that Nova puts on the root disk, by path, in the form that Trove gave them then."""
    info = (
        f'[DEFAULT]\nguest_id={guest.instance_id}\n'
        f'datastore_manager={guest.datastore_manager}\ntenant_id={guest.project_id}\n'
    )
    agent = (
        f'[DEFAULT]\ntransport_url = {guest.transport_url}\ncontrol_exchange = trove\n'
        f'report_interval = {guest.heartbeat_seconds}\nlog_dir = /var/log/trove\n'
        'log_file = trove-guestagent.log\n'
    )
    files = {GUEST_INFO: info, AGENT_CONF: agent, AUTHORIZED_KEYS: f'{guest.authorized_key}\n'}
    if guest.password is not None:
        files[PASSWORDS] = f'trove:{guest.password}\n'
    return {path: text.encode() for path, text in files.items()}


def provision(guest: Server, settings: dict[str, str] | None = None) -> Credentials:
    """Put a database on the guest's volume, under the service of Debian's package, with the sample
    accounts and rows of newer guests.  Safe to repeat.

    :raises errors.LabError: the guest has no volume.
    :raises errors.CommandFailed: a step inside the guest failed; its output is in the message.
    """
    volume_uuid = new_guests.volume_of(guest)
    content = new_guests.settings_file(
        {
            **new_guests.DEFAULT_SETTINGS,
            'datadir': f'{DATABASE_MOUNT}/data',
            **(settings or {}),
        },
        'mysqld',
    )
    guest.write_file(SETTINGS_FILE, content)
    guest.exec(['/bin/sh', '-ec', _PREPARE, 'prepare', volume_uuid], timeout_seconds=_START_SECONDS)
    new_guests.sql(guest, new_guests.accounts_sql(LAB_CREDENTIALS))
    admin = LAB_CREDENTIALS.admin
    guest.write_file(
        CLIENT_FILE,
        f'[client]\nuser = {admin.name}\npassword = {admin.password}\nhost = localhost\n',
        mode='0600',
    )
    return LAB_CREDENTIALS

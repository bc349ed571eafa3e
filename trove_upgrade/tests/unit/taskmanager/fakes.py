# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for Nova, Glance, the guest and the notifier, and a stage that has them all with a real
repository on SQLite.
"""

import base64
import dataclasses

import fixtures

from trove_upgrade.domain import compute, exceptions, guests, states, versions
from trove_upgrade.domain.drops import Drops
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.metrics import NO_METRICS
from trove_upgrade.sealing import at_rest
from trove_upgrade.taskmanager import composed_user_data, holdings, new_guests
from trove_upgrade.taskmanager.endings import Endings
from trove_upgrade.taskmanager.fenced_guest import FencedGuest
from trove_upgrade.taskmanager.guest_files import GuestFiles, read_text
from trove_upgrade.taskmanager.key_delivery import KeyDelivery
from trove_upgrade.taskmanager.preflight import Preflight
from trove_upgrade.taskmanager.root_disk import RootDisk
from trove_upgrade.taskmanager.runner import Runner
from trove_upgrade.taskmanager.sealed_reports import SealedReports
from trove_upgrade.taskmanager.step_runner import StepRunner
from trove_upgrade.taskmanager.steps import (
    boot,
    calls,
    precheck,
    quiesce,
    rebuild,
    restore,
    undo,
    verify,
)
from trove_upgrade.tests.fakes import FakeClock
from trove_upgrade.tests.unit import database, stored

GUEST_INFO = base64.b64encode(
    b'[DEFAULT]\nguest_id = i\ndatastore_manager = mariadb\ndatastore_version = 10.11.14\n'
).decode()
USER_DATA = (
    '#cloud-config\nwrite_files:\n- path: /etc/trove/conf.d/guest_info.conf\n  encoding: b64\n  '
    f'content: {GUEST_INFO}\n'
).encode()
FORMER_BOOT = 'boot-former'
NEW_BOOT = 'boot-new'


class FakeNova:
    """Implements ports.Compute: one server.  `answers` are errors to raise instead, or None, for
    each POST in turn.
    """

    def __init__(self, server_id=database.SERVER, image_id=database.IMAGE_10_11):
        self.state = compute.Server(
            id=server_id,
            name='db1',
            status='ACTIVE',
            task_state=None,
            image_id=image_id,
            locked=False,
            metadata={'kept': 'yes'},
            user_data=USER_DATA,
            fault=None,
            flavor_ram_mb=1024,
            flavor_disk_gb=4,
            host='compute-1',
        )
        self.result = compute.RebuildResult.SUCCESS
        self.rebuilds = []
        self.answers = []
        self.unavailable = None
        self.up = True
        self.microversion = (2, 93)
        self.quota = 128

    def change(self, **changes):
        self.state = dataclasses.replace(self.state, **changes)

    def server(self, server_id):
        if self.unavailable is not None:
            raise exceptions.ComputeUnavailable(what='a server', found=self.unavailable)
        if server_id != self.state.id:
            raise exceptions.ServerNotFound(server_id=server_id)
        return dataclasses.replace(self.state, user_data=None)

    def server_with_user_data(self, server_id):
        self.server(server_id)
        return self.state

    def max_microversion(self):
        return self.microversion

    def describe(self, server_id):
        return compute.ServerDescription(
            server=self.server_with_user_data(server_id),
            compute_up=self.up,
            max_microversion=self.microversion,
            metadata_quota=self.quota,
        )

    def rebuild(self, server, image_id, marker, user_data, *, ends_at=None):
        self.ends_at = ends_at
        answer = self.answers.pop(0) if self.answers else None
        if answer is None or getattr(answer, 'accepted_all_the_same', False):
            self.rebuilds.append((server.id, image_id, marker, user_data))
            self.change(metadata={**server.metadata, compute.MARKER_KEY: marker}, image_id=image_id)
        if answer is not None:
            raise answer

    def rebuild_result(self, server):
        return self.result


class AlwaysHeld:
    """Implements leases.LeaseCheck for a step that no runner runs."""

    def require(self, row_id):
        pass


def lost_answer(*, accepted):
    """A POST whose answer never came."""
    error = exceptions.ComputeUnavailable(what='a rebuild', found='timed out')
    error.accepted_all_the_same = accepted
    return error


class FakeImages:
    """Implements ports.Images."""

    def __init__(self):
        self.known = {
            image_id: compute.Image(
                id=image_id,
                name='an image',
                status='active',
                min_disk_gb=1,
                min_ram_mb=256,
                size_bytes=1 << 20,
            )
            for image_id in (database.IMAGE_10_11, database.IMAGE_11_8)
        }

    def image(self, image_id):
        if image_id not in self.known:
            raise exceptions.ImageNotFound(image_id=image_id)
        return self.known[image_id]

    def newest(self, tags):
        return self.image(database.IMAGE_11_8)


def answer(
    state=guests.JobState.DONE,
    *,
    boot_id=FORMER_BOOT,
    server_state=guests.ServerState.STOPPED,
    message='said the guest',
    **more,
):
    return guests.GuestAnswer(
        state=state,
        message=message,
        boot_id=boot_id,
        server_state=server_state,
        agent_version='1.0',
        **more,
    )


class FakeGuest:
    """Implements ports.Guest: answers or errors per method, the last of which stays."""

    def __init__(self):
        self.calls = []
        self.acts = {}
        self.greeting = None  #: an error instead
        self.script = {
            'check_upgrade': [
                answer(
                    server_state=guests.ServerState.RUNNING,
                    server_version='10.11.14-MariaDB',
                    result={
                        'checks': [{'name': 'guest_space', 'outcome': 'ok', 'message': 'enough'}]
                    },
                )
            ],
            'pre_upgrade': [
                answer(
                    result={
                        'upgrade_info': {
                            'stash': 'stash-s1',
                            'stopped_at': '2026-11-21T12:00:00+00:00',
                        }
                    }
                )
            ],
            'abort_upgrade': [answer(server_state=guests.ServerState.RUNNING, serving=True)],
            'post_upgrade': [
                answer(
                    boot_id=NEW_BOOT,
                    server_started_on_data=True,
                    result={
                        'fingerprint': {'rows': 1},
                        'stopped_at': '2026-11-21T12:00:00+00:00',
                        'opened_at': '2026-11-21T12:00:07.5+00:00',
                    },
                )
            ],
            'verify_upgrade': [
                answer(boot_id=NEW_BOOT, result={'server_version': '11.8.6-MariaDB-0+deb13u1'})
            ],
            'finish_upgrade': [answer(boot_id=NEW_BOOT)],
        }

    def says(self, method, *answers):
        self.script[method] = list(answers)

    def before(self, method, act):
        """`act` happens before the next answer to `method`, once."""
        self.acts.setdefault(method, []).append(act)

    def asked(self, method):
        return [call for name, call in self.calls if name == method]

    def _answer(self, method, call):
        self.calls.append((method, call))
        for act in self.acts.pop(method, []):
            act()
        script = self.script[method]
        said = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(said, Exception):
            raise said
        return said

    def check_upgrade(self, call):
        return self._answer('check_upgrade', call)

    def pre_upgrade(self, call):
        return self._answer('pre_upgrade', call)

    def abort_upgrade(self, call):
        return self._answer('abort_upgrade', call)

    def post_upgrade(self, call):
        return self._answer('post_upgrade', call)

    def verify_upgrade(self, call):
        return self._answer('verify_upgrade', call)

    def finish_upgrade(self, call):
        return self._answer('finish_upgrade', call)

    def greet(self, instance_id):
        if self.greeting is not None:
            raise self.greeting


class FakeGuestBroker:
    """Implements ports.GuestBroker: one answer for every guest."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def refusal(self, instance_id, files):
        self.asked.append((instance_id, files))
        return self.answer


def silent(method='pre_upgrade'):
    return exceptions.GuestUnavailable(
        instance_id=database.INSTANCE, method=method, timeout_seconds=15
    )


class FakeNotifier:
    """Implements events.Notifier."""

    def __init__(self):
        self.sent = []
        self.down = False

    def send(self, event):
        if self.down:
            raise exceptions.MessagingUnavailable(what='a notification', found='no broker')
        self.sent.append((event.kind, event.attempt))


class Stage(fixtures.Fixture):
    """Everything a step or a runner needs, and short ways to say what happens."""

    def __init__(self, *, with_keys=False):
        """`with_keys`: guests can have keys, and get them."""
        super().__init__()
        self._wrapping = at_rest.Wrapping([at_rest.generate()]) if with_keys else None

    def _setUp(self):
        self.db = self.useFixture(database.SampleDatabase(wrapping=self._wrapping))
        self.repos = self.db.repositories
        self.clock = FakeClock()
        self.nova, self.images, self.guest, self.notifier = (
            FakeNova(),
            FakeImages(),
            FakeGuest(),
            FakeNotifier(),
        )
        self.calls = calls.Calls(
            datastores=self.repos.datastores,
            clock=self.clock,
            options=GuestOptions(carry_image=True),
            poll_seconds=0.5,
            poll_max_seconds=5,
            call_timeout_seconds=15,
        )
        self.files = GuestFiles(
            instances=self.repos.instances,
            datastores=self.repos.datastores,
            guest_config_file=None,
            guest_topic_prefix=None,
            new_guests=new_guests.NewGuests(
                instances=self.repos.instances,
                settings=composed_user_data.Settings(
                    directory='/etc/trove/conf.d',
                    owner='ubuntu',
                    group='root',
                    guest_info='guest_info.conf',
                    network_isolation=True,
                ),
                cloudinit_directory='/nowhere',
                read=read_text,
            ),
        )
        self.older = None  #: names a taskmanager of an earlier release
        self.key_delivery = KeyDelivery(
            keys=self.repos.guest_keys,
            datastores=self.repos.datastores,
            older_taskmanager=lambda: self.older,
        )
        self.preflight = Preflight(
            instances=self.repos.instances,
            datastores=self.repos.datastores,
            nova=self.nova,
            images=self.images,
            agent=self.guest,
            rules=versions.Rules.load(),
            files=self.files,
            key_delivery=self.key_delivery,
        )
        self.quiesce = quiesce.Quiesce(
            agent=self.guest,
            instances=self.repos.instances,
            calls=self.calls,
            timeout_seconds=100,
            hold_seconds=30,
        )
        self.rebuild = rebuild.Rebuild(
            held=self.repos.held_upgrades,
            leases=AlwaysHeld(),
            nova=self.nova,
            agent=self.guest,
            instances=self.repos.instances,
            datastores=self.repos.datastores,
            files=self.files,
            key_delivery=self.key_delivery,
            calls=self.calls,
            poll_seconds=1,
            post_seconds=10,
            limit=3,
            timeout_seconds=100,
            hold_seconds=75,
        )
        self.boot = boot.Boot(
            guests=self.repos.guests,
            keys=self.repos.guest_keys,
            poll_seconds=2,
            timeout_seconds=100,
            hold_seconds=15,
        )
        root_disk = RootDisk(nova=self.nova, keys=self.repos.guest_keys)
        self.restore = restore.Restore(
            agent=self.guest,
            guests=self.repos.guests,
            instances=self.repos.instances,
            calls=self.calls,
            root_disk=root_disk,
            timeout_seconds=100,
            hold_seconds=30,
        )
        self.verify = verify.Verify(
            agent=self.guest,
            guests=self.repos.guests,
            instances=self.repos.instances,
            calls=self.calls,
            root_disk=root_disk,
            timeout_seconds=100,
            hold_seconds=30,
        )
        self.undo = undo.Undo(
            agent=self.guest, calls=self.calls, timeout_seconds=100, hold_seconds=30
        )
        self.precheck = precheck.Precheck(
            preflight=self.preflight, calls=self.calls, timeout_seconds=100, hold_seconds=60
        )
        self.events = 0
        self.drops = Drops(self.clock.monotonic)
        self.greeted = []
        self.metrics = NO_METRICS
        self.reports = SealedReports(
            keys=self.repos.guest_keys,
            drops=self.drops,
            greet=self.greeted.append,
            older_taskmanager=lambda: self.older,
        )

    def holdings(self, owner='tm-1', lease_seconds=15):
        return holdings.of_upgrades(self.repos.held_upgrades, self.clock, owner, lease_seconds)

    def runner(self, owner='tm-1', held=None):
        held = held or self.holdings(owner)
        fenced = FencedGuest(self.guest, held)
        steps = {
            states.Step.PRECHECK: self.precheck,
            states.Step.QUIESCE: dataclasses.replace(self.quiesce, agent=fenced),
            states.Step.REBUILD: dataclasses.replace(self.rebuild, agent=fenced, leases=held),
            states.Step.BOOT: self.boot,
            states.Step.RESTORE: dataclasses.replace(self.restore, agent=fenced),
            states.Step.VERIFY: dataclasses.replace(self.verify, agent=fenced),
        }
        return Runner(
            upgrades=self.repos.upgrades,
            instances=self.repos.instances,
            steps=steps,
            undo=dataclasses.replace(self.undo, agent=fenced),
            step_runner=StepRunner(
                instances=self.repos.instances, guests=self.repos.guests, clock=self.clock
            ),
            endings=Endings(
                upgrades=self.repos.upgrades,
                held=self.repos.held_upgrades,
                writes_service_status=True,
                on_event=self._event,
                metrics=self.metrics,
            ),
            held=self.repos.holds,
            metrics=self.metrics,
            clock=self.clock,
            holdings=held,
            tells_openings=lambda: self.older is None,
        )

    def _event(self):
        self.events += 1

    def row(self, step=states.Step.PRECHECK, data=(), **changes):
        """A RUNNING one at `step`, as a step is handed it, with these entries of its row's data;
        not saved.
        """
        begun = self.db.begin().evolve(state=states.UpgradeState.RUNNING, step=step, generation=1)
        return begun.evolve(progress=stored.progress(**dict(data)), **changes)

    def held_row(self, step, data=(), **changes):
        """The same, and the database has it as held."""
        row = self.row(step, data, **changes)
        self.repos.upgrades.claim(row.id, 'tm-1', 60)
        return row

    def beat(self, row, *, boot_id=NEW_BOOT, marker=None, restored=False):
        return guests.Heartbeat(
            instance_id=row.instance_id,
            boot_id=boot_id,
            marker=marker or row.marker,
            restored=restored,
            agent_version='1.0',
            server_version=None,
            server_state=guests.ServerState.STOPPED,
        )

    def heartbeat(self, row, *, key_id=None, **changes):
        self.repos.guests.record(self.beat(row, **changes), key_id)

    def run_on(self, upgrade_id, runner=None):
        """Run once; the row afterwards."""
        (runner or self.runner()).run(upgrade_id)
        return self.repos.upgrades.get(upgrade_id)

    def until_boot(self):
        """An upgrade that waits for its guest: (id, row)."""
        row = self.db.begin()
        self.run_on(row.id)
        row = self.run_on(row.id)
        assert row.step is states.Step.BOOT, row
        return row

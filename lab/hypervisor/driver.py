# SPDX-License-Identifier: Apache-2.0
"""Nova's virt driver of the lab: a server is a guest of `guests.py`.

nova-compute loads it through a module of its own, because Nova looks for drivers below nova.virt
only.  Its settings are in `<run dir>/hypervisor.json`; the environment variable
TROVE_UPGRADE_LAB_RUN names the run directory.

Nova's default rebuild is used: power off, destroy, spawn; the server's task state tells these from
a deletion and a first boot.  So the volume and the port stay where they are, and everything else
goes.  What is to go wrong: see `knobs.py`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nova.conf
from nova import exception
from nova.compute import power_state, task_states
from nova.image import glance
from nova.objects import fields
from nova.virt import driver, hardware, node

from lab.errors import LabError
from lab.hypervisor import nova_facts
from lab.hypervisor.errors import GuestUnknown
from lab.hypervisor.guests import STOP_SECONDS, Guest
from lab.hypervisor.host import HypervisorSettings, LabHost
from lab.hypervisor.turns import Turns
from lab.knobs import Knobs, KnobStore

LOG = logging.getLogger(__name__)

#: What the one node reports; the guests are small, and the machine keeps its own limits.
_VCPUS, _MEMORY_MB, _DISK_GB = 64, 131072, 10000
_STUCK_POLL_SECONDS = 0.25


class LabDriver(driver.ComputeDriver):
    """Servers are Linux namespaces on this machine."""

    capabilities = {**driver.ComputeDriver.capabilities, 'supports_image_type_raw': True}

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        super().__init__(virtapi)
        settings = HypervisorSettings.from_environ()
        self._host = LabHost.open(
            settings.hypervisor_dir,
            (settings.broker_host, settings.broker_port),
            registry=settings.registry,
            security_groups=settings.security_groups,
        )
        self._knobs = KnobStore(settings.hypervisor_dir / 'faults')
        self._images_dir = settings.hypervisor_dir / 'images'
        self._downloading = threading.Lock()
        self._turns = Turns()
        self._name = ''

    # The node.

    def init_host(self, host: str) -> None:
        """Prepare the host, once when the service starts; guests that run already are found by
        their files.
        """
        self._name = host
        self._images_dir.mkdir(parents=True, exist_ok=True)

    def get_available_nodes(self, refresh: bool = False) -> list[str]:
        """One node, named as the host."""
        return [self._name]

    def get_nodenames_by_uuid(self, refresh: bool = False) -> dict[str, str]:
        """The node keeps its uuid over restarts: without, nova-compute refuses its second start."""
        return {node.get_local_node_uuid(): self._name}

    def get_available_resource(self, nodename: str) -> dict[str, Any]:
        """Return what the scheduler is told of the node."""
        return {
            'vcpus': _VCPUS,
            'memory_mb': _MEMORY_MB,
            'local_gb': _DISK_GB,
            'vcpus_used': 0,
            'memory_mb_used': 0,
            'local_gb_used': 0,
            'hypervisor_type': 'lab',
            'hypervisor_version': 1,
            'hypervisor_hostname': nodename,
            'cpu_info': '{}',
            'disk_available_least': _DISK_GB,
            'numa_topology': None,
            'uuid': node.get_local_node_uuid(),
            'supported_instances': [
                (fields.Architecture.X86_64, fields.HVType.FAKE, fields.VMMode.HVM)
            ],
        }

    def update_provider_tree(
        self, provider_tree: Any, nodename: str, allocations: Any = None
    ) -> None:
        """Tell Placement of the node."""
        ratios = self._get_allocation_ratios(provider_tree.data(nodename).inventory)
        totals = {'VCPU': _VCPUS, 'MEMORY_MB': _MEMORY_MB, 'DISK_GB': _DISK_GB}
        provider_tree.update_inventory(
            nodename,
            {
                name: {
                    'total': total,
                    'min_unit': 1,
                    'max_unit': total,
                    'step_size': 1,
                    'allocation_ratio': ratios[name],
                    'reserved': 0,
                }
                for name, total in totals.items()
            },
        )

    def get_host_ip_addr(self) -> str:
        """Return the host's address, `my_ip` of nova.conf."""
        return str(nova.conf.CONF.my_ip)

    def get_host_uptime(self) -> str:
        """Return the uptime in the form of uptime(1), which Nova hands on."""
        minutes = int(float(Path('/proc/uptime').read_text('utf-8').split()[0]) // 60)
        return f'00:00:00 up {minutes} min,  0 users,  load average: 0.00, 0.00, 0.00'

    # Servers as they are.

    def list_instances(self) -> list[str]:
        """Names; ours are the servers' ids."""
        return self.list_instance_uuids()

    def list_instance_uuids(self) -> list[str]:
        """Ids of all servers that have a root disk here."""
        return [guest.spec.guest_id for guest in self._host.guests.all()]

    def instance_exists(self, instance: Any) -> bool:
        """Return whether the server has a root disk here."""
        return self._find(instance) is not None

    def get_info(self, instance: Any, use_cache: bool = True) -> Any:
        """Tell whether it runs; a server without its guest counts as shut down.

        InstanceNotFound here would make Nova leave a rebuild in REBUILD for ever.
        """
        guest = self._find(instance)
        running = guest is not None and guest.running
        return hardware.InstanceInfo(state=power_state.RUNNING if running else power_state.SHUTDOWN)

    def get_console_output(self, context: Any, instance: Any) -> bytes:
        """Return what the guest has printed since it was made."""
        guest = self._find(instance)
        return guest.console.encode() if guest else b''

    def plug_vifs(self, instance: Any, network_info: Any) -> None:
        """Ports are plugged when the guest boots, and stay."""

    def unplug_vifs(self, instance: Any, network_info: Any) -> None:
        """Ports go with the server."""

    # Operations.

    def spawn(
        self,
        context: Any,
        instance: Any,
        image_meta: Any,
        injected_files: Any,
        admin_password: Any,
        allocations: Any,
        network_info: Any = None,
        block_device_info: Any = None,
        power_on: bool = True,
        accel_info: Any = None,
    ) -> None:
        """Boot a server for the first time, or from its new image at the end of a rebuild.

        :raises InstanceDeployFailure: the guest does not come up, or a knob says so; Nova puts the
            server into ERROR.
        :raises InstanceNotFound: it was deleted meanwhile.
        """
        operation = 'rebuild' if _is_rebuilding(instance) else 'boot'
        knobs = self._knobs.take(instance.uuid, instance.metadata, operation)
        self._obey(knobs, instance, operation)
        with _as_not_found(instance), self._turns.making(instance.uuid), _as_deploy_failure():
            ports = nova_facts.ports_of(network_info or [])
            for network, _port in ports:
                self._host.fabric.ensure(network)
            self._ensure_volume(instance)
            spec = nova_facts.spec_of(
                instance,
                image_id=str(image_meta.id),
                image_path=self._image_for(context, instance, str(image_meta.id), knobs),
                ports=tuple(port for _network, port in ports),
                injected_files=injected_files,
            )
            guest = self._host.guests.create(spec)
            if knobs.no_agent:
                guest.take_agent_away()
            if power_on:
                guest.boot()
        LOG.info('Guest %s runs image %s', instance.uuid, image_meta.id)

    def rebuild(self, context: Any, instance: Any, **_others: Any) -> None:
        """Leave it to Nova's default, unless the image shall turn out to be unloadable before
        anything is touched.

        :raises InstanceFaultRollback: Nova sets the server back to ACTIVE, with the new image's id,
            and the old guest runs.
        :raises NotImplementedError: always otherwise; Nova then powers off, destroys and spawns.
        """
        knobs = self._knobs.peek(instance.uuid, instance.metadata, 'rebuild')
        if knobs.image_unloadable:
            self._knobs.take(instance.uuid, instance.metadata, 'rebuild')
            raise exception.InstanceFaultRollback(
                inner_exception=exception.ImageUnacceptable(
                    image_id=instance.image_ref, reason='the lab was told that it cannot be loaded'
                )
            )
        raise NotImplementedError

    def destroy(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        destroy_disks: bool = True,
        destroy_secrets: bool = True,
    ) -> None:
        """End a server: in a rebuild its root disk alone goes, in a deletion all of it.  One that
        is gone is no error.
        """
        with self._turns.ending(instance.uuid, deleted=_is_deleting(instance)):
            guest = self._find(instance)
            if guest is None:
                return
            if _is_rebuilding(instance) or not destroy_disks:
                guest.kill()
                guest.drop_root_disk()
            else:
                guest.destroy()

    def cleanup(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        destroy_disks: bool = True,
        migrate_data: Any = None,
        destroy_vifs: bool = True,
        destroy_secrets: bool = True,
    ) -> None:
        """Do nothing: `destroy` has left nothing."""

    def power_off(self, instance: Any, timeout: int = 0, retry_interval: int = 0) -> None:
        """Shut the guest down, cleanly if Nova gives it the time.  One that is gone is no error."""
        guest = self._find(instance)
        if guest is not None:
            guest.stop(timeout or STOP_SECONDS)

    def power_on(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        accel_info: Any = None,
        share_info: Any = None,
    ) -> None:
        """Boot the guest from the root disk that it has.

        :raises InstanceNotFound: it has none.
        """
        self._get(instance).boot()

    def reboot(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        reboot_type: str,
        block_device_info: Any = None,
        bad_volumes_callback: Any = None,
        accel_info: Any = None,
        share_info: Any = None,
    ) -> None:
        """Boot the guest again: SOFT shuts it down first, HARD kills it.

        :raises InstanceNotFound: it has no root disk here.
        """
        self._get(instance).reboot(hard=reboot_type == 'HARD')

    # Inside.

    def _find(self, instance: Any) -> Guest | None:
        try:
            return self._host.guests.get(instance.uuid)
        except GuestUnknown:
            return None

    def _get(self, instance: Any) -> Guest:
        guest = self._find(instance)
        if guest is None:
            raise exception.InstanceNotFound(instance_id=instance.uuid)
        return guest

    def _obey(self, knobs: Knobs, instance: Any, operation: str) -> None:
        if knobs.slow_seconds:
            time.sleep(knobs.slow_seconds)
        if knobs.stuck == 'lost':
            raise exception.InstanceNotFound(instance_id=instance.uuid)
        while knobs.stuck == 'blocked' and self._still_stuck(
            instance.uuid, instance.metadata, operation
        ):
            time.sleep(_STUCK_POLL_SECONDS)
        if knobs.spawn_error:
            raise exception.InstanceDeployFailure(reason=knobs.spawn_error)

    def _still_stuck(self, server_id: str, metadata: Mapping[str, str], operation: str) -> bool:
        knobs = self._knobs.peek(server_id, metadata, operation)
        return knobs.stuck == 'blocked'

    def _ensure_volume(self, instance: Any) -> None:
        self._host.volumes.ensure(
            instance.uuid,
            nova_facts.volume_bytes(instance.flavor.ephemeral_gb, instance.metadata),
            raw=nova_facts.wants_raw_volume(instance.system_metadata),
        )

    def _image_for(self, context: Any, instance: Any, image_id: str, knobs: Knobs) -> Path:
        if knobs.wrong_image == 'former':
            return self._get(instance).spec.image_path
        return self._downloaded(context, knobs.wrong_image or image_id)

    def _downloaded(self, context: Any, image_id: str) -> Path:
        """The image's file; fetched from Glance once.  Images never change once they are active."""
        target = self._images_dir / f'{image_id}.squashfs'
        with self._downloading:
            if not target.exists():
                fresh = target.with_suffix('.new')
                glance.API().download(context, image_id, dest_path=str(fresh))
                fresh.rename(target)
        return target


@contextmanager
def _as_deploy_failure() -> Iterator[None]:
    """Errors of the lab in Nova's words: only the message of one of its own errors reaches the
    server's `fault`.
    """
    try:
        yield
    except LabError as error:
        # Nova cuts the fault at 255 characters; the log has all of it:
        # oslo.log writes the error into the line.
        LOG.warning('Guest could not be deployed', exc_info=error)
        raise exception.InstanceDeployFailure(reason=str(error)) from error


@contextmanager
def _as_not_found(instance: Any) -> Iterator[None]:
    try:
        yield
    except GuestUnknown as error:
        raise exception.InstanceNotFound(instance_id=instance.uuid) from error


def _is_deleting(instance: Any) -> bool:
    return instance.task_state == task_states.DELETING


def _is_rebuilding(instance: Any) -> bool:
    return (instance.task_state or '').startswith('rebuild')

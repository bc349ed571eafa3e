# SPDX-License-Identifier: Apache-2.0
"""Glance through keystoneauth1's adapter: two reading requests need no further client."""

from collections.abc import Sequence
from typing import Any, Protocol, Self

from keystoneauth1 import adapter
from keystoneauth1 import exceptions as keystone_exceptions
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.clients import session
from trove_upgrade.conf import compute as compute_conf
from trove_upgrade.domain import compute, exceptions


class _Http(Protocol):
    """Part of a keystoneauth1 adapter that this client uses."""

    def get(self, url: str, **more: Any) -> Any:
        """A response; raises keystoneauth1's errors for 400 and above."""


class Glance:
    """Implements `domain.ports.Images`.  Safe to share between threads."""

    def __init__(self, http: _Http) -> None:
        self._http = http

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts, *, timeout_seconds: float | None = None) -> Self:
        """Make a client with `[service_credentials]`; no request is sent yet.

        `timeout_seconds` of a connect and of an answer; None: as long as Nova has.
        """
        options = conf[our_conf.GROUP]
        seconds = options.compute_timeout if timeout_seconds is None else timeout_seconds
        shared = session.from_conf(conf, timeout_seconds=seconds)
        given = conf[compute_conf.CREDENTIALS_GROUP]
        return cls(
            adapter.Adapter(
                shared,
                service_type=options.image_service_type,
                interface=given.interface,
                region_name=given.region_name,
                endpoint_override=options.image_endpoint_override,
            )
        )

    @classmethod
    def of_cloud(cls, region: Any) -> Self:
        """Make a client with a cloud of `clouds.region`; no request is sent yet."""
        return cls(
            adapter.Adapter(
                region.get_session(),
                service_type='image',
                interface=region.get_interface('image'),
                region_name=region.get_region_name('image'),
            )
        )

    def image(self, image_id: str) -> compute.Image:
        """One image.

        :raises ImageNotFound: there is none.
        :raises ComputeUnavailable: no answer in time.
        """
        try:
            return session.asked(lambda: _as_image(self._http.get(f'/v2/images/{image_id}').json()))
        except keystone_exceptions.NotFound as error:
            raise exceptions.ImageNotFound(image_id=image_id) from error
        except session.UNAVAILABLE as error:
            raise exceptions.ComputeUnavailable(
                what=f'image {image_id} (Glance)', found=error
            ) from error

    def newest(self, tags: Sequence[str]) -> compute.Image:
        """The newest active image with all these tags.

        :raises ImageNotFound: there is none.
        :raises ComputeUnavailable: no answer in time.
        """
        query = {
            'tag': list(tags),
            'status': 'active',
            'sort_key': 'created_at',
            'sort_dir': 'desc',
            'limit': 1,
        }
        try:
            images = session.asked(
                lambda: [
                    _as_image(raw)
                    for raw in self._http.get('/v2/images', params=query).json()['images']
                ]
            )
        except session.UNAVAILABLE as error:
            raise exceptions.ComputeUnavailable(
                what=f'images with tags {", ".join(tags)} (Glance)', found=error
            ) from error
        if not images:
            raise exceptions.ImageNotFound(image_id=f'with tags {", ".join(tags)}')
        return images[0]


def _as_image(raw: dict[str, Any]) -> compute.Image:
    """`size` is null while nothing has been uploaded yet."""
    return compute.Image(
        id=raw['id'],
        name=raw.get('name') or '',
        status=raw['status'],
        min_disk_gb=raw.get('min_disk') or 0,
        min_ram_mb=raw.get('min_ram') or 0,
        size_bytes=raw.get('size') or 0,
    )

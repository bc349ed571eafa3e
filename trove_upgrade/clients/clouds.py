# SPDX-License-Identifier: Apache-2.0
"""Clouds of clouds.yaml, and of an openrc file's variables, as openstacksdk reads them."""

from typing import Any

from keystoneauth1 import exceptions as keystone_exceptions
from openstack import config
from openstack import exceptions as sdk_exceptions

from trove_upgrade.domain import network


def region(name: str, timeout_seconds: float) -> Any:
    """Return openstacksdk's `CloudRegion` of a cloud, or of `envvars`; no request is sent.

    `timeout_seconds` bounds each request where clouds.yaml has no `api_timeout`.

    :raises CloudUnknown: there is no such cloud, or it lacks what a login needs.
    """
    try:
        known = config.OpenStackConfig()
        found = known.get_one(cloud=name)
        if found.config.get('api_timeout') is None:
            found = known.get_one(cloud=name, api_timeout=timeout_seconds)
        found.get_session()
    except (sdk_exceptions.SDKException, keystone_exceptions.ClientException) as error:
        raise network.CloudUnknown(
            cloud=name, found=' '.join(str(error).split()).rstrip('.')
        ) from error
    return found

# SPDX-License-Identifier: Apache-2.0
"""Clouds of clouds.yaml, and of an openrc file's variables, as openstacksdk reads them."""

from typing import Any

from keystoneauth1 import exceptions as keystone_exceptions
from openstack import config
from openstack import exceptions as sdk_exceptions

from trove_upgrade.domain import network


def region(name: str) -> Any:
    """Return openstacksdk's `CloudRegion` of a cloud, or of `envvars`; no request is sent.

    :raises CloudUnknown: there is no such cloud, or it lacks what a login needs.
    """
    try:
        found = config.OpenStackConfig().get_one(cloud=name)
        found.get_session()
    except (sdk_exceptions.SDKException, keystone_exceptions.ClientException) as error:
        raise network.CloudUnknown(
            cloud=name, found=' '.join(str(error).split()).rstrip('.')
        ) from error
    return found

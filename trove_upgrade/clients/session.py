# SPDX-License-Identifier: Apache-2.0
"""The service user's session with Keystone, which every client shares."""
from keystoneauth1 import exceptions as keystone_exceptions
from keystoneauth1 import session as keystone_session
from keystoneauth1.identity import generic
from oslo_config import cfg

from trove_upgrade.conf import compute as compute_conf

#: Everything that says "no answer", "not now" or "Keystone does not let us in": nothing definite about what was asked.
UNAVAILABLE = (keystone_exceptions.ClientException,)


def from_conf(conf: cfg.ConfigOpts, *, timeout_seconds: float) -> keystone_session.Session:
    """A session of `[service_credentials]`.  Asks for a token at the first request, and again when it has run out.

    `timeout_seconds` bounds the connect and, each by itself, the waits for data.  Safe to share between threads.
    """
    compute_conf.register_credentials(conf)
    given = conf[compute_conf.CREDENTIALS_GROUP]
    auth = generic.Password(
        auth_url=given.auth_url, username=given.username, password=given.password, user_domain_name=given.user_domain_name,
        project_id=given.project_id, project_name=None if given.project_id else given.project_name,
        project_domain_name=None if given.project_id else given.project_domain_name)
    verify: bool | str = False if given.insecure else (given.cafile or True)
    return keystone_session.Session(auth=auth, verify=verify, timeout=timeout_seconds)

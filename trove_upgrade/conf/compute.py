# SPDX-License-Identifier: Apache-2.0
"""Options of Nova and Glance, and the service user that we ask them as."""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.FloatOpt(
        'compute_timeout',
        default=20.0,
        min=1.0,
        max=300.0,
        help='Seconds to wait for an answer of Nova, Glance or Keystone. Too low: an accepted '
        'rebuild looks lost until its marker has been read. Too high: a worker hangs on a dead '
        'service.',
    ),
    cfg.FloatOpt(
        'rebuild_request_timeout',
        default=10.0,
        min=1.0,
        max=10.0,
        help='Seconds for one request of a rebuild to Nova, connect and answer together. Whether '
        'Nova has accepted one that was not answered is read from the server. Too low: slow ones '
        'are asked twice. High: where a taskmanager dies in the middle of one that does not '
        'arrive, the next taskmanager waits that long before it asks again.',
    ),
    cfg.StrOpt(
        'compute_service_type', default='compute', help='Type of Nova in the service catalog.'
    ),
    cfg.StrOpt(
        'image_service_type', default='image', help='Type of Glance in the service catalog.'
    ),
    cfg.URIOpt(
        'compute_endpoint_override',
        schemes=['http', 'https'],
        help="Address of Nova, with its version (…/v2.1), instead of the catalog's.",
    ),
    cfg.URIOpt(
        'image_endpoint_override',
        schemes=['http', 'https'],
        help="Address of Glance, without a version, instead of the catalog's.",
    ),
    cfg.StrOpt(
        'compute_max_microversion',
        default='2.93',
        regex=r'2\.[0-9]{1,4}$',
        help="Highest microversion to ask Nova for; the lower of this and of Nova's own highest is "
        'used. Below 2.57 user data cannot be sent with a rebuild and files are injected instead; '
        'below 2.93 servers that boot from a volume are refused.',
    ),
]

CREDENTIALS_GROUP = 'service_credentials'


def _formerly(name: str) -> dict[str, str]:
    """Accept the option in `[DEFAULT]`, where Trove still reads it: a trove.conf that has served
    for years has these.
    """
    return {'deprecated_name': name, 'deprecated_group': 'DEFAULT'}


#: Names and meanings as Trove's own group of this name has them, so that one file can serve both.
#: Source: trove/common/cfg.py, service_credentials_opts (Trove 26).
CREDENTIALS_OPTS: list[cfg.Opt] = [
    cfg.URIOpt(
        'auth_url',
        schemes=['http', 'https'],
        help='Keystone of the service user.',
        **_formerly('trove_auth_url'),
    ),
    cfg.StrOpt(
        'username',
        help="The service user that guests' servers belong to.",
        **_formerly('nova_proxy_admin_user'),
    ),
    cfg.StrOpt('password', secret=True, help='Its password.', **_formerly('nova_proxy_admin_pass')),
    cfg.StrOpt(
        'project_name',
        help="Its project: the one that guests' servers are in.",
        **_formerly('nova_proxy_admin_tenant_name'),
    ),
    cfg.StrOpt(
        'project_id',
        help='The same by id; wins over project_name.',
        **_formerly('nova_proxy_admin_tenant_id'),
    ),
    cfg.StrOpt(
        'user_domain_name',
        default='Default',
        help='Domain of the user.',
        **_formerly('nova_proxy_admin_user_domain_name'),
    ),
    cfg.StrOpt(
        'project_domain_name',
        default='Default',
        help='Domain of the project.',
        **_formerly('nova_proxy_admin_project_domain_name'),
    ),
    cfg.StrOpt(
        'region_name', help='Region whose endpoints are used.', **_formerly('os_region_name')
    ),
    cfg.StrOpt(
        'interface',
        default='internal',
        choices=['public', 'internal', 'admin'],
        help='Which endpoints of the catalog are used.',
    ),
    cfg.StrOpt('cafile', help="Certificates to trust, in PEM form. Unset: the system's."),
    cfg.BoolOpt(
        'insecure',
        default=False,
        help="Do not check certificates. Only for tests: any host could answer in Nova's name.",
    ),
]


def register_credentials(conf: cfg.ConfigOpts) -> None:
    """Register `[service_credentials]`; what another program (Trove) has
    registered there already stands.
    """
    for opt in CREDENTIALS_OPTS:
        try:
            conf.register_opt(opt, group=CREDENTIALS_GROUP)
        except cfg.DuplicateOptError:
            continue

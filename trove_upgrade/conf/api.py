# SPDX-License-Identifier: Apache-2.0
"""Options of the API and the paste filter."""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'api_paste_config',
        default='api-paste.ini',
        help='Paste file of the API when it runs alone; a relative name is looked for in the '
        "directories of the configuration files. The filter in Trove's pipeline does not read it.",
    ),
    cfg.StrOpt(
        'policy_file',
        default='trove-upgrade-policy.yaml',
        help="Policy file of ours, read beside Trove's own one; a relative name is looked for in "
        'the directories of the configuration files. A file that does not '
        'exist leaves the defaults.',
    ),
    cfg.StrOpt(
        'version_rules_file',
        help='YAML file that is laid over the shipped table of which version may follow which. '
        'Unset: the shipped table alone. A file of a wrong form stops the service at its start.',
    ),
    cfg.StrOpt(
        'guest_without_agent',
        default='refuse',
        choices=[
            ('refuse', 'the request is answered with 422 and the reason'),
            (
                'pass',
                (
                    'the request goes on to Trove as it came, '
                    'whose own upgrade swaps the container alone'
                ),
            ),
        ],
        help='What becomes of the upgrade of an instance whose guest has not told of an agent of '
        "ours within guest_silence_seconds. Only the filter in Trove's pipeline reads it: alone "
        'there is no Trove to pass to. With "pass" the instance gets what '
        "Trove's own upgrade does, which can show a new version where the former one runs.",
    ),
    cfg.FloatOpt(
        'guest_silence_seconds',
        default=10800.0,
        min=0.0,
        help='Seconds after which a guest that has not been heard counts as one without an agent '
        "of ours, by the database's clock. An idle guest speaks once an hour, so the default is "
        'three words missed. Shorter than an hour refuses or passes guests that are well, and so '
        'does a pause of the taskmanagers that is longer than this; longer takes upgrades of '
        'guests that were rebuilt onto an image without our agent, which then end with '
        'PRECHECK_TIMEOUT. 0: once heard is enough, for ever.',
    ),
    cfg.IntOpt(
        'page_size',
        default=1000,
        min=1,
        max=10000,
        help='Most items of one page of a list. Clients that look an instance up by its name read '
        'the first page only, so a small page hides names; a large one costs memory and time.',
    ),
    cfg.IntOpt(
        'max_body_bytes',
        default=65536,
        min=1024,
        max=10485760,
        help="Longest body in bytes that the API reads. In Trove's pipeline this bounds PATCH and "
        'PUT on an instance, whatever they change: too small refuses large configurations, too '
        'large lets requests fill the memory.',
    ),
    cfg.URIOpt(
        'public_endpoint',
        schemes=['http', 'https'],
        help='Address of the API without /v1.0, for the links in its answers, e.g. '
        'https://database.example.org:8779. Unset: as the request came, which behind a proxy needs '
        '[oslo_middleware] enable_proxy_headers_parsing.',
    ),
    cfg.StrOpt(
        'region_name',
        default='RegionOne',
        help='Region that is shown for instances whose row names none.',
    ),
    cfg.FloatOpt(
        'server_list_timeout',
        default=2.0,
        min=0.1,
        max=60.0,
        help="Seconds that a request which shows instances waits for Nova's list of servers. "
        'Without an answer instances are shown as the database knows them; longer makes every list '
        'slow while Nova is.',
    ),
    cfg.HostAddressOpt(
        'bind_host',
        default='127.0.0.1',
        help=(
            'Address that trove-upgrade-api listens on. It is a server for development: put uWSGI '
            'or gunicorn before users.'
        ),
    ),
    cfg.PortOpt('bind_port', default=8779, help='Port that trove-upgrade-api listens on.'),
]

# SPDX-License-Identifier: Apache-2.0
"""Options of the taskmanager: its workers, leases, time-outs and what it may do."""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        'taskmanager_workers',
        default=8,
        min=1,
        max=256,
        help='Steps that one taskmanager runs at the same time. A step that waits holds no worker, '
        'so a few serve thousands of upgrades; each may hold a database connection and one request '
        'to Nova or a guest.',
    ),
    cfg.IntOpt(
        'slow_workers_percent',
        default=50,
        min=1,
        max=100,
        help='Percent of taskmanager_workers that upgrades may have at once, at most, whose guest '
        'or Nova gave no answer of late or took long for one, and guests that are restored again. '
        'At least one worker, and where there are two or more one is left for the others. High: '
        'silent guests slow down the upgrades of other projects. Low: upgrades wait longer for '
        'each other when Nova or the message broker answers slowly to all.',
    ),
    cfg.IntOpt(
        'project_workers_percent',
        default=75,
        min=1,
        max=100,
        help='Percent of taskmanager_workers that one project may have at once, at most; at least '
        'one worker, and where there are two or more one is left for other projects. Within that, '
        'projects take turns. Low: a cloud with one project leaves workers idle.',
    ),
    cfg.FloatOpt(
        'longest_rest',
        default=30.0,
        min=1.0,
        max=600.0,
        help='Most seconds until a call to a guest or to Nova that was not answered is repeated. '
        'The first is repeated after one or two seconds, each further one after about twice as '
        'long. High: an upgrade goes on late after an outage.',
    ),
    cfg.FloatOpt(
        'taskmanager_poll_interval',
        default=2.0,
        min=0.1,
        max=600.0,
        help='Seconds between two looks for rows that no nudge came for: new upgrades whose '
        'message was lost, and those of a dead taskmanager. Low: load on the database; high: delay '
        'after a broker outage.',
    ),
    cfg.FloatOpt(
        'lease_seconds',
        default=15.0,
        min=5.0,
        max=3600.0,
        help='Seconds for which a taskmanager takes a row. While it lives it renews all of them, '
        'three times in that time. Low: one that the database does not answer in time is '
        'overtaken in the middle of its work. High: the upgrades of one that has died wait that '
        'long; of one that has died on a host where another runs or is started they wait for '
        'nothing.',
    ),
    cfg.FloatOpt(
        'guest_poll_interval',
        default=0.15,
        min=0.05,
        max=60.0,
        help=(
            'Seconds between two questions to a guest that works, at first; they grow to '
            'guest_poll_max_interval.'
        ),
    ),
    cfg.FloatOpt(
        'guest_poll_max_interval',
        default=2.0,
        min=0.05,
        max=600.0,
        help=(
            'Most seconds between two questions to a guest that works. '
            'High: its end is noticed late.'
        ),
    ),
    cfg.FloatOpt(
        'compute_poll_interval',
        default=0.5,
        min=0.1,
        max=60.0,
        help='Seconds between two looks at a server that Nova rebuilds. Each is one or three '
        'requests to Nova; where several upgrades wait for Nova, one request for all of them '
        '(compute_shared_look).',
    ),
    cfg.BoolOpt(
        'compute_shared_look',
        default=True,
        help='Where several upgrades of one taskmanager wait for Nova, look at the servers of all '
        'projects that have changed of late, in one request, instead of at each server. Each '
        'server is read once more before anything is done. Where Nova lets only administrators '
        'list the servers of all projects and the service user is none, each server is looked at.',
    ),
    cfg.ListOpt(
        'nova_notifications_topics',
        default=[],
        help="Topics of Nova's notifications that taskmanagers listen on: notifications, "
        'versioned_notifications, as [oslo_messaging_notifications] topics or [notifications] '
        'versioned_notifications_topics of Nova name them. The end of a rebuild then has its '
        'upgrade look at its server at once. Unset: none; the server is looked at after '
        'compute_poll_interval.',
    ),
    cfg.StrOpt(
        'nova_notifications_transport_url',
        default=None,
        secret=True,
        help='Where Nova sends its notifications, in the form of transport_url. Unset: '
        'transport_url. The account needs a queue of its own there (trove-upgrade-nova.HOST), '
        'and to bind it to the exchange of Nova.',
    ),
    cfg.StrOpt(
        'nova_notifications_exchange',
        default='nova',
        help='Exchange of these notifications: control_exchange of Nova.',
    ),
    cfg.FloatOpt(
        'precheck_timeout',
        default=300.0,
        min=1.0,
        help='Seconds for all checks; then the upgrade ends ABORTED.',
    ),
    cfg.FloatOpt(
        'quiesce_timeout',
        default=3600.0,
        min=1.0,
        help='Seconds for fingerprint, stop and stash; then the guest is told to undo it. Large '
        'databases need minutes for their checksums, see fingerprint_budget_seconds.',
    ),
    cfg.FloatOpt(
        'rebuild_timeout',
        default=1800.0,
        min=1.0,
        help=(
            'Seconds from the first look at Nova to the end of the rebuild; '
            'then the upgrade ends FAILED.'
        ),
    ),
    cfg.FloatOpt(
        'boot_timeout',
        default=900.0,
        min=1.0,
        help=(
            'Seconds from the end of the rebuild to the first heartbeat of the new guest; then the '
            'upgrade ends FAILED.'
        ),
    ),
    cfg.FloatOpt(
        'restore_timeout',
        default=14400.0,
        min=1.0,
        help=(
            'Seconds for restore, upgrade of the data and comparison; then the upgrade ends FAILED.'
        ),
    ),
    cfg.FloatOpt(
        'verify_timeout',
        default=600.0,
        min=1.0,
        help='Seconds for the last checks; then the upgrade ends FAILED.',
    ),
    cfg.FloatOpt(
        'undo_timeout',
        default=3600.0,
        min=1.0,
        help='Seconds in which a guest must say that its database serves again after an upgrade '
        'that is given up before the rebuild; then the upgrade ends FAILED instead of ABORTED. '
        'The API reads it, too, for an abort.',
    ),
    cfg.IntOpt(
        'rebuild_limit',
        default=3,
        min=1,
        max=20,
        help='How often in one attempt a rebuild is asked that Nova accepts and does not do (the '
        'image cannot be loaded). Then the guest undoes its part and the upgrade ends ABORTED.',
    ),
    cfg.BoolOpt(
        'rollback_on_failure',
        default=False,
        help='What happens to an upgrade for which its user has not chosen (on_failure) when it '
        'fails after Nova has accepted the rebuild and before '
        'the new server was started on the data. On: the server is rebuilt with its former image '
        'and the former version serves again (ROLLED_BACK); that takes another rebuild and '
        'restore. Off: the upgrade ends FAILED, the instance is in ERROR, and an operator decides: '
        'trove-upgrade-manage upgrade retry or rollback.',
    ),
    cfg.FloatOpt(
        'longest_hold',
        default=604800.0,
        min=60.0,
        max=31536000.0,
        help='Seconds for which an upgrade may be held before it proceeds (hold), and how far '
        'ahead its beginning may be set (not_before); the API and the taskmanagers read it. Then '
        'it ends ABORTED, with nothing changed. High: checks and images that are old by the time, '
        'and instances that no other upgrade can take meanwhile.',
    ),
    cfg.FloatOpt(
        'fingerprint_budget_seconds',
        default=300.0,
        min=0.0,
        max=86400.0,
        help='Seconds of downtime that checksums of tables may take, smallest tables first. What '
        'does not fit is compared by names, sizes and times of files only. Large tables that '
        'rest are read for as long before, while the database serves.',
    ),
    cfg.BoolOpt(
        'keep_changed_defaults',
        default=False,
        help='Keep the old value of server settings (character set, collation, sql_mode) whose '
        'default differs between the versions. Otherwise they are reported '
        'and the new default holds.',
    ),
    cfg.FloatOpt(
        'database_lock_seconds',
        default=30.0,
        min=1.0,
        max=3600.0,
        help='Seconds that the guest waits for running statements before it gives an upgrade up; '
        'clients that write wait as long. Low: one long statement refuses the upgrade. High: '
        'writers hang that long before they are told so.',
    ),
    cfg.FloatOpt(
        'database_shutdown_seconds',
        default=1800.0,
        min=1.0,
        max=86400.0,
        help='Seconds from SHUTDOWN to the end of the database server. Low: a large one with much '
        'to purge fails the upgrade although it would have ended. High: one that hangs is noticed '
        'late. Well below quiesce_timeout.',
    ),
    cfg.IntOpt(
        'database_min_free_mb',
        default=0,
        min=0,
        max=1 << 30,
        help='Megabytes that must be free on the volume before a database is upgraded. 0: what the '
        'datastore driver reckons that it needs; less than that is never enough. High: full '
        'volumes cannot be upgraded.',
    ),
    cfg.BoolOpt(
        'carry_container_image',
        default=True,
        help='Where the database runs in a container, and the facts of the target version have '
        'container_image_id: have the guest put that image onto its data volume before the '
        'database stops, so that the rebuilt guest needs no registry. Without room for it on the '
        'volume the upgrade goes on without. Off: the registry gives the image while the database '
        'is down; right where guest images have the container image already.',
    ),
    cfg.BoolOpt(
        'allow_replication',
        default=False,
        help='Upgrade a database that takes part in replication or in a cluster of its own, with a '
        'warning. Otherwise it is refused: a replica of an older version '
        'cannot follow a newer primary.',
    ),
    cfg.BoolOpt(
        'write_service_status',
        default=True,
        help='Write service_statuses of instances: "upgrading" from the moment the guest is told '
        'to stop, "healthy" once the guest has said that its database serves, "shutdown" once it '
        'has said that it does not, "unknown" after a failure of which the guest has said neither. '
        'For an installation alone; beside Trove its own conductor writes them.',
    ),
    cfg.FloatOpt(
        'service_status_timeout',
        default=75.0,
        min=0.0,
        max=3600.0,
        help='Seconds that an upgrade which has passed all its checks waits for the agent of Trove '
        'to report the database healthy, where write_service_status is off; clients are served '
        'meanwhile, and it completes afterwards in any case. Low: Trove may show the instance '
        'ACTIVE with its database SHUTDOWN until the next heartbeat. Above the report_interval of '
        "Trove's agents by a little is right; 0 does not wait.",
    ),
    cfg.StrOpt(
        'guest_config_file',
        default=None,
        help='File that becomes trove-guestagent.conf of a rebuilt guest: on each taskmanager, the '
        "same that Trove's own guest_config names. Read at every rebuild. Unset: the guest keeps "
        'the one that it was created with, without options that you have set since, such as '
        'docker_image or those of our agent.',
    ),
    cfg.FloatOpt(
        'outbox_interval',
        default=2.0,
        min=0.1,
        max=600.0,
        help=(
            'Seconds between two looks for notifications to send; '
            'the end of a step is followed by a look at once.'
        ),
    ),
    cfg.FloatOpt(
        'outbox_retry_interval',
        default=15.0,
        min=0.1,
        max=3600.0,
        help='Seconds until a notification that could not be sent is tried again, or a guest that '
        'did not answer whether its upgrade may be tidied up; a guest that stays silent is asked '
        'after twice as long each time, up to an hour.',
    ),
    cfg.FloatOpt(
        'service_report_interval',
        default=10.0,
        min=1.0,
        max=600.0,
        help='Seconds between two signs of life in upgrade_services.',
    ),
]

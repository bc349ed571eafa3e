# SPDX-License-Identifier: Apache-2.0
"""Keys of what a guest's method has found: `GuestAnswer.result`."""

import enum


class ResultKey(enum.StrEnum):
    """On the wire: none is ever renamed."""

    CHECKS = 'checks'  #: check_upgrade, verify_upgrade: entries of name, outcome, message, code
    UPGRADE_INFO = 'upgrade_info'  #: pre_upgrade
    FINGERPRINT = 'fingerprint'  #: post_upgrade, as all that follow but where it is told
    SETTINGS_CHANGED = 'settings_changed'
    SETTINGS_KEPT = 'settings_kept'
    REMARKS = 'remarks'
    STOPPED_AT = 'stopped_at'
    OPENED_AT = 'opened_at'
    SERVER_VERSION = 'server_version'  #: verify_upgrade
    STASH_REMOVED_AT = 'stash_removed_at'  #: finish_upgrade

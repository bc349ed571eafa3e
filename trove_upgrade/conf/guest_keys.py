# SPDX-License-Identifier: Apache-2.0
"""Options of the keys that messages between taskmanagers and guests are sealed with.  The API and
the filter read none of them.
"""

from oslo_config import cfg

REQUIRED, PREFERRED, OFF = 'required', 'preferred', 'off'

OPTS: list[cfg.Opt] = [
    cfg.ListOpt(
        'guest_key_encryption_keys',
        default=[],
        secret=True,
        help="Keys that the database's copies of guests' keys are encrypted with, the same list in "
        'the same order on every taskmanager and where trove-upgrade-manage is run. The first one '
        'encrypts, each of them decrypts; trove-upgrade-manage guest-key generate makes one. '
        'Empty: a taskmanager does not start unless guest_rpc_security is off. Without the entry '
        "that a guest's key was encrypted under, the guest cannot be spoken to.",
    ),
    cfg.StrOpt(
        'guest_rpc_security',
        default=REQUIRED,
        choices=[
            (
                REQUIRED,
                (
                    'a guest that has a key is spoken to sealed only; one that never had one '
                    'unsealed, until its next upgrade'
                ),
            ),
            (
                PREFERRED,
                (
                    'as required, but a guest that knows no sealed call, or whose key cannot be '
                    'decrypted, is spoken to unsealed'
                ),
            ),
            (OFF, 'nothing is sealed and no key is made; refused while a guest has a key'),
        ],
        help='Whether messages between taskmanagers and guests are sealed with a key of each '
        'guest. Anything but "required" lets a holder of the broker\'s account give orders to '
        'guests or speak in their name; "preferred" is a way out for an operator, '
        'not a state to stay in.',
    ),
]

#: An option of Trove's own, as Trove has it.  Source: trove/common/cfg.py (Trove 26).
TROVES_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'inst_rpc_key_encr_key',
        default='emYjgHFqfXNB1NGehAFIUeoyw4V4XwWHEaKP',
        secret=True,
        help="Trove's own option: the key that instances.encrypted_key is encrypted with. A "
        'taskmanager derives the keys of guests that Trove has made from it; '
        'it must be as Trove has it.',
    )
]


def register_troves(conf: cfg.ConfigOpts) -> None:
    """Register Trove's option; where Trove runs in the same process its own one stands."""
    for opt in TROVES_OPTS:
        try:
            conf.register_opt(opt)
        except cfg.DuplicateOptError:
            continue

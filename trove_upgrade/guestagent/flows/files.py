# SPDX-License-Identifier: Apache-2.0
"""Files of the former root disk that come to this one."""

from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.stash.accounts import Accounts
from trove_upgrade.guestagent.stash.restore import Stash


def restore(driver: base.DatastoreDriver, accounts: Accounts, stash: Stash) -> list[str]:
    """Bring them, in rounds: what a restored option file names comes with the next one.  Safe to repeat.  Returns remarks.

    :raises StepFailed: the stash is broken, or something in it must not come here.
    """
    remarks = stash.restore(driver.restore_first(stash.paths()), accounts)
    driver.prepare_places()
    stashed = base.Stashed(stash.files(), stash.links(), stash.file)
    restored: set[str] = set()
    while found := [path for path in driver.restore_paths(stashed) if path not in restored]:
        remarks += stash.restore(found, accounts)
        restored.update(found)
    left = [path for path in driver.left_alone(stashed) if path not in restored]
    return remarks + [
        f"{path!r} is the new image's own; that of the former root disk had another content, and did not come back"
        for path in stash.differing(left)
    ]

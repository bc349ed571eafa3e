# SPDX-License-Identifier: Apache-2.0
"""Files of the former root disk that come to this one."""

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.upgrade_checks import CheckOutcome
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.storage.stash.accounts import Accounts
from trove_upgrade.guestagent.storage.stash.restore import Stash


def restore(driver: base.DatastoreDriver, accounts: Accounts, stash: Stash) -> list[str]:
    """Bring them, in rounds: what a restored option file names comes with the next one.  Safe to
    repeat.  Returns remarks.

    :raises StepFailed: the stash is broken, or something in it must not come here.
    """
    # a container's files belong to numbers: its names are those of its image
    of = None if driver.shares_volume else accounts
    remarks = stash.restore(driver.restore_first(stash.paths()), of)
    stashed = base.Stashed(
        paths=stash.paths(), files=stash.files(), links=stash.links(), content=stash.file
    )
    restored: set[str] = set()
    while True:
        found = [path for path in driver.restore_paths(stashed) if path not in restored]
        driver.prepare_places(stashed, found)
        if not found:
            break
        remarks += stash.restore(found, of)
        restored.update(found)
    judged = driver.check_restored(stashed)
    if judged is not None and judged.outcome == CheckOutcome.REFUSED:
        raise exceptions.StepFailed(judged.message, str(judged.code))
    left = [path for path in driver.left_alone(stashed) if path not in restored]
    return remarks + [
        f"{path!r} is the new image's own; that of the former root disk had another content, and "
        'did not come back'
        for path in stash.differing(left)
    ]

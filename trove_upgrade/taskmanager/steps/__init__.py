# SPDX-License-Identifier: Apache-2.0
"""Steps of an upgrade, one per module, in this order:

1. precheck: reads only, everything that Nova or the guest could refuse.
2. quiesce: the guest checks again, stops the database cleanly and stashes its configuration on the
   volume (pre_upgrade).
3. rebuild: Nova gives the server a root disk of the target's image, once, under a marker.
4. boot: waits for the heartbeat of the new guest, with this marker.
5. restore: the new guest brings the configuration back, upgrades the data, compares it and opens
   (post_upgrade).
6. verify: the version, a write and the next boot (verify_upgrade).

What fails before the rebuild is undone by `undo`.  A rollback is 3 to 6 towards the former image.

A step looks at the world first, does one thing, and returns an outcome, which the runner commits
before anything else happens. It raises StepRefused where nothing that matters has been changed yet
(the upgrade ends ABORTED, undone where needed), StepFailed where an operator must look, and lets
ComputeUnavailable and GuestUnavailable pass: the runner asks again.
"""

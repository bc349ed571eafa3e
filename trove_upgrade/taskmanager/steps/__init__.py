# SPDX-License-Identifier: Apache-2.0
"""One step of an upgrade per module.

A step looks at the world first, does one thing, and returns an outcome, which the runner commits
before anything else happens. It raises StepRefused where nothing that matters has been changed yet
(the upgrade ends ABORTED, undone where needed), StepFailed where an operator must look, and lets
ComputeUnavailable and GuestUnavailable pass: the runner asks again.
"""

# SPDX-License-Identifier: Apache-2.0
"""Progress of work that takes more than a moment."""

from collections.abc import Callable

#: Called with a percentage (0 to 100, or None where unknown) and a sentence; raises if the job's
#: deadline has passed.
Progress = Callable[[int | None, str], None]

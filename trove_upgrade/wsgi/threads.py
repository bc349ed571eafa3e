# SPDX-License-Identifier: Apache-2.0
"""The choice of native threads, for programs of our own.

oslo.service chooses eventlet where nothing was chosen, and importing oslo.messaging makes it
choose; a later choice is refused.  So this module is imported, and `choose` called, before anything
else of OpenStack is imported.  Never in what the paste filter imports: there Trove's choice stands.
"""

import sys

from oslo_service import backend


def choose() -> None:
    """Native threads, and no eventlet by accident: its import fails from here on.  Safe to call
    twice.
    """
    sys.modules.setdefault('eventlet', None)  # type: ignore[arg-type]  # None makes `import eventlet` raise ImportError
    if backend.get_backend_type() is not backend.BackendType.THREADING:
        backend.init_backend(backend.BackendType.THREADING)

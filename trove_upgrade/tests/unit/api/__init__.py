# SPDX-License-Identifier: Apache-2.0
import sys

sys.modules.setdefault('eventlet', None)  # the released client would import it, only to sleep

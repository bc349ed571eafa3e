# SPDX-License-Identifier: Apache-2.0
"""Options of RPC and notifications."""
from oslo_config import cfg

OPTS: list[cfg.Opt] = []

# SPDX-License-Identifier: Apache-2.0
"""Options of the guest agent."""
from oslo_config import cfg

OPTS: list[cfg.Opt] = []

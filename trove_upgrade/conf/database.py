# SPDX-License-Identifier: Apache-2.0
"""Options of our tables."""
from oslo_config import cfg

OPTS: list[cfg.Opt] = []

# SPDX-License-Identifier: Apache-2.0
"""Options of Nova and Glance."""
from oslo_config import cfg

OPTS: list[cfg.Opt] = []

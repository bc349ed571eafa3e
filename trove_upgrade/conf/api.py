# SPDX-License-Identifier: Apache-2.0
"""Options of the API and the paste filter."""
from oslo_config import cfg

OPTS: list[cfg.Opt] = []

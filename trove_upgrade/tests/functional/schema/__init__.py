# SPDX-License-Identifier: Apache-2.0
"""With servers, volumes and guests of their own: they need no cloud."""

# SPDX-License-Identifier: Apache-2.0
"""The taskmanager: moves each row one durable step at a time."""

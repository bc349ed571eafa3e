# SPDX-License-Identifier: Apache-2.0
"""Primitives of the machine: programs, services, files, time, the container engine."""

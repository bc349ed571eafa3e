# SPDX-License-Identifier: Apache-2.0
"""A one-machine cloud: real OpenStack services on loopback, and guests that are Linux namespaces.

Nothing here imports the product; the product's commands and tests compose this package.
"""

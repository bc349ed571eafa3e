# SPDX-License-Identifier: Apache-2.0
"""Server that stands in for the service, and for Keystone."""

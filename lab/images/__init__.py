# SPDX-License-Identifier: Apache-2.0
"""Guest images, built from Debian's packages, and what turns a freshly booted guest into a database
instance.
"""

# SPDX-License-Identifier: Apache-2.0
"""Common parts of the drivers of MariaDB and MySQL, one module per noun."""

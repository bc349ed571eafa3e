# SPDX-License-Identifier: Apache-2.0
"""What the drivers of MariaDB and MySQL have in common, one module per noun."""

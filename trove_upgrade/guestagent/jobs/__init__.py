# SPDX-License-Identifier: Apache-2.0
"""Jobs: the work of each RPC method, journalled and run once."""

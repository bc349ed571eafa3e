# SPDX-License-Identifier: Apache-2.0
"""Two releases of the product at work at the same time, each as processes of its own code."""

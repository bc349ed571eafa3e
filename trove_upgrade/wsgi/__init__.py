# SPDX-License-Identifier: Apache-2.0
"""Module-level WSGI applications, for uWSGI, gunicorn and mod_wsgi."""

# SPDX-License-Identifier: Apache-2.0
"""Configuration of a service user whose Keystone is not there: port 1 of loopback refuses."""

SERVICE_CREDENTIALS = """[service_credentials]
auth_type = password
auth_url = http://127.0.0.1:1/v3
username = trove
password = secret
project_name = service
"""

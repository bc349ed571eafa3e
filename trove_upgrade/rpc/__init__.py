# SPDX-License-Identifier: Apache-2.0
"""RPC between API, taskmanager and guest agent, and notifications: versioned client classes over
oslo.messaging.
"""

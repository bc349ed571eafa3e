# SPDX-License-Identifier: Apache-2.0
"""Way from the bridge to an old guest: a route, a connection, a login, a shell.

A route (`choice` finds it) opens a TCP connection where the guest's address means something: in a
namespace of the tenant network on this host (`local_host`) or on a network node (`network_node`),
or from this host itself (`direct`).  In a namespace a small program (`relay`) carries the bytes.
SSH runs over what the route has opened (`session`), with the keys that are pinned (`host_keys`) and
the account of the instance (`logins`, `accounts`); programs and files go over it (`shell`).

Paramiko speaks SSH: it takes every object with `send` and `recv` as its connection, so that one
code serves all routes, and its threads fit a program of threads.
"""

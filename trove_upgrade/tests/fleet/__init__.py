# SPDX-License-Identifier: Apache-2.0
"""A fleet of simulated old guests: the bridge meets them behind the same protocols as real ones.

- `guests.py`: which guests there are, and which fault each has, by a seed.
- `old_guest.py`: one guest: answers of the installer, files, our agent.
- `ssh_server.py`: their SSH servers, all in one process, each in its own network namespace.
- `agents.py`: sealed heartbeats of the agents that were started, over the real broker.
- `process.py`: that process.
- `trace.py`: what it writes down, and the look whether a limit was exceeded.
- `nova_view.py`: Nova with the guests' servers beside its own.
- `stage.py`: puts the fleet into an old cloud, and takes it out again.
"""

# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-api`: the API on threads of one process, for development and tests.

Before users put a WSGI server: `gunicorn --threads 4 --workers 2 --no-control-socket
trove_upgrade.wsgi.api:application`, or uWSGI with `module = trove_upgrade.wsgi.api:application`,
`enable-threads` and `lazy-apps`.
"""

import argparse
import contextlib
import importlib
import os
import socket
import socketserver
import sys
import threading
import wsgiref.simple_server
from collections.abc import Sequence
from typing import Any

from trove_upgrade import signals
from trove_upgrade.domain import exceptions

#: For a client that does not end its side: so long for each read, and so many reads.
_LINGER_SECONDS = 1.0
_LINGER_READS = 64
_READ_BYTES = 65536


class _Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self) -> None:
        """Bind without a look-up of our own name, which can take seconds where no name server
        answers.
        """
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = (
            str(self.server_address[0]),
            int(self.server_address[1]),
        )
        self.setup_environ()

    def shutdown_request(self, request: Any) -> None:
        """Read what is left of a body, then close: closed before that, TCP would take the answer
        from the client, as a refusal of a token.
        """
        with contextlib.suppress(OSError):  # the client has gone
            request.shutdown(socket.SHUT_WR)
            request.settimeout(_LINGER_SECONDS)
            for _ in range(_LINGER_READS):
                if not request.recv(_READ_BYTES):
                    break
        self.close_request(request)


class _Handler(wsgiref.simple_server.WSGIRequestHandler):
    def address_string(self) -> str:
        return str(self.client_address[0])

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Log no access: the log of the application says what is worth saying."""


class AddressUnusable(exceptions.TroveUpgradeError):
    """The address is another's, is taken, or needs more rights."""

    code = 'ADDRESS_UNUSABLE'
    template = (
        'The API cannot be started: it cannot listen on {host}, port {port} ({found}). Set '
        '[trove_upgrade] bind_host and bind_port to an address of this host and a port that no '
        'other program uses, or end that program.'
    )


def new_server(application: Any, host: str, port: int) -> _Server:
    """Make a server that is bound and listens; `serve_forever` serves, `shutdown` from another
    thread ends it.

    :raises AddressUnusable: the address cannot be used.
    """
    try:
        return wsgiref.simple_server.make_server(
            host, port, application, server_class=_Server, handler_class=_Handler
        )
    except (OSError, UnicodeError) as error:
        # UnicodeError: no name of a host can be so long, or so empty
        raise AddressUnusable(
            host=host, port=port, found=getattr(error, 'strerror', None) or error
        ) from error


def _refusal(error: Exception) -> str | None:
    """Return what cannot be worked with, in one line with a code; None for a fault of the
    program.
    """
    from trove_upgrade.db import faults
    from trove_upgrade.domain import versions

    if isinstance(error, versions.RulesError):
        return f'ERROR VERSION_RULES_INVALID: {error}'
    return faults.line(error) if faults.explain(error) is not None else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='trove-upgrade-api', description='The API of trove-upgrade, for development.'
    )
    parser.add_argument(
        '--config-file',
        action='append',
        default=[],
        metavar='FILE',
        help="configuration file; may be given several times (default: oslo.config's places for "
        'trove-upgrade)',
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.config_file:
        os.environ['OS_TROVE_UPGRADE_CONFIG_FILES'] = ';'.join(arguments.config_file)
    importlib.import_module('trove_upgrade.wsgi.threads').choose()
    importlib.import_module('trove_upgrade.api.app')  # takes a second, and lists us nowhere yet
    told = signals.told()
    try:
        with signals.raised():
            # reads the configuration when it is imported
            api = importlib.import_module('trove_upgrade.wsgi.api')
            options = importlib.import_module('oslo_config.cfg').CONF.trove_upgrade
            server = new_server(api.application, options.bind_host, options.bind_port)
    except signals.Interrupted as end:
        signals.report(parser.prog, end)
        return 0
    except Exception as error:
        line = _refusal(error)
        if line is None:
            raise
        print(line, file=sys.stderr)
        return 1
    threading.Thread(target=server.serve_forever, name='server', daemon=True).start()
    print(f'Listening on http://{options.bind_host}:{server.server_port}/', flush=True)
    told.wait()
    server.shutdown()
    server.server_close()
    return 0

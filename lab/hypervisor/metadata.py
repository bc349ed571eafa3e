# SPDX-License-Identifier: Apache-2.0
"""The metadata service of a network of guests: shows each guest its own user data, by the address
that it asks from.

As a cloud's, it makes no difference between the users of a guest. A program of the standard library
alone, started by its path in a network's namespace; it closes its output once it answers:

    setsid --fork python -I metadata.py --address 169.254.169.254 --directory /path/metadata
    --pid-file /path/metadata.pid

Source: Nova, "Metadata service" (OpenStack's paths and those of EC2).
"""

import argparse
import http.server
import os
import pathlib
import sys

#: Where guests of every cloud ask.
ADDRESS = '169.254.169.254'
PORT = 80
USER_DATA, META_DATA = 'user_data', 'meta_data.json'
#: By path; files of a guest, below its address.
_FILES = {
    '/openstack/latest/user_data': USER_DATA,
    '/latest/user-data': USER_DATA,
    '/2009-04-04/user-data': USER_DATA,
    '/openstack/latest/meta_data.json': META_DATA,
}


def publish(directory: pathlib.Path, address: str, user_data: bytes, meta_data: str) -> None:
    """Let the guest at this address see these from now on."""
    home = directory / address
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, content in ((USER_DATA, user_data), (META_DATA, meta_data.encode())):
        fresh = home / f'{name}.new'
        fresh.write_bytes(content)
        fresh.rename(home / name)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: 'MetadataServer'
    timeout = 10

    def do_GET(self) -> None:
        """Answer with the file of the guest that asks; 404 for every other path and address."""
        name = _FILES.get(self.path)
        try:
            content = (
                (self.server.directory / self.client_address[0] / name).read_bytes()
                if name
                else None
            )
        except FileNotFoundError:
            content = None
        if content is None:
            self.send_error(http.HTTPStatus.NOT_FOUND)
            return
        self.send_response(http.HTTPStatus.OK)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_args: object) -> None:
        """Write nothing: the lab keeps no log of requests."""


class MetadataServer(http.server.ThreadingHTTPServer):
    """Answers from `directory`, in which each guest's address is a directory."""

    def __init__(self, place: tuple[str, int], directory: pathlib.Path) -> None:
        super().__init__(place, _Handler)
        self.directory = directory


def main(argv: list[str]) -> None:
    """Bind, write the pid, close the output; then answer until a signal ends it."""
    parser = argparse.ArgumentParser(description='The metadata service of a network of guests.')
    parser.add_argument('--address', default=ADDRESS)
    parser.add_argument('--port', type=int, default=PORT)
    parser.add_argument('--directory', type=pathlib.Path, required=True)
    parser.add_argument('--pid-file', type=pathlib.Path, required=True)
    wanted = parser.parse_args(argv)
    with MetadataServer((wanted.address, wanted.port), wanted.directory.absolute()) as server:
        wanted.pid_file.write_text(f'{os.getpid()}\n', 'utf-8')
        os.chdir('/')
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        server.serve_forever()


if __name__ == '__main__':
    main(sys.argv[1:])

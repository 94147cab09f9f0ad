"""Hello world as Twisted's guide to its web server has it: python app.py PORT PROCESSES."""

import os
import socket
import sys

from twisted.web.resource import Resource
from twisted.web.server import Request, Site


class Hello(Resource):
    """Answers at /."""

    isLeaf = True  # noqa: N815

    def render_GET(self, request: Request) -> bytes:  # noqa: N802
        """Answer."""
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return b"Hello, World!"


# The way that Twisted has for several processes on one port: each adopts the listening socket.
PORT, PROCESSES = map(int, sys.argv[1:])
with socket.create_server(("127.0.0.1", PORT), backlog=1024) as listening:
    for _ in range(PROCESSES - 1):
        if os.fork() == 0:
            break
    from twisted.internet import reactor  # its epoll must be each process's own

    listening.setblocking(False)
    reactor.adoptStreamPort(listening.fileno(), socket.AF_INET, Site(Hello()))
reactor.run()

"""Real loopback sockets round anything that answers HTTP requests, beside a broker's own server.

It is the standard library's HTTP server, so that it is always there: one thread for each client, who asks and waits. It knows
no dialect, and the one who answers sees to locks.
"""

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, create_connection, socket
from threading import Thread
from typing import Any, NamedTuple

from simbus.server import listening_socket

_STOPPING = 5.0  # seconds that a thread has to end


class Answer(NamedTuple):
    """What goes back: the status, headers and octets."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Respond = Callable[[str, str, Mapping[str, str], bytes], Answer]


class WebServer:
    """Listens from construction until :meth:`close`.

    Args:
        respond: given method, target, headers under names in lower case, and body; called in threads.
        host: loopback unless someone asks for more.
        port: 0 for a free one.

    Raises:
        CannotListen: the address is taken, or is not this machine's.
    """

    def __init__(self, respond: Respond, host: str = "127.0.0.1", port: int = 0) -> None:
        self._server = _Threads(listening_socket(host, port), respond)
        self.address: tuple[str, int] = self._server.socket.getsockname()[:2]
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), name="simbus web server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hang up on everyone and end the threads; twice is harmless."""
        if self._thread.is_alive():
            ends = Thread(target=self._server.shutdown, daemon=True)
            ends.start()
            with suppress(OSError), create_connection(self.address, _STOPPING):  # which wakes it up
                self._thread.join(_STOPPING)
            self._server.server_close()
            self._server.hang_up()


class _Threads(ThreadingHTTPServer):
    """A thread for each client; they can be hung up on."""

    daemon_threads = True

    def __init__(self, listener: socket, respond: Respond) -> None:
        super().__init__(listener.getsockname()[:2], _Client, bind_and_activate=False)
        self.socket.close()
        listener.setblocking(True)
        self.socket = listener
        self.respond = respond
        self._clients: dict[Thread, socket] = {}

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a client until it hangs up."""
        for thread in [thread for thread in self._clients if not thread.is_alive()]:
            del self._clients[thread]
        thread = Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        self._clients[thread] = request
        thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is gone, or speaks no HTTP, is no one's trouble."""
        if not isinstance(sys.exc_info()[1], OSError | ValueError):
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        """End what clients have open."""
        for thread, client in self._clients.items():
            with suppress(OSError):  # it has hung up itself
                client.shutdown(SHUT_RDWR)
            thread.join(_STOPPING)


class _Client(BaseHTTPRequestHandler):
    """The conversation with one client."""

    server: _Threads
    protocol_version = "HTTP/1.1"
    server_version = "simbus"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one piece

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self._chunks() if "chunked" in headers.get("transfer-encoding", "") else self._read(headers)
        status, answered, content = self.server.respond(self.command, self.path, headers, body)
        self.send_response(status)
        for name, value in answered.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("content-length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_OPTIONS = do_PATCH = _serve  # noqa: N815 - the library's names

    def _read(self, headers: Mapping[str, str]) -> bytes:
        length = headers.get("content-length", "")
        return self.rfile.read(int(length)) if length.isdigit() else b""

    def _chunks(self) -> bytes:
        """RFC 9112, section 7.1: each chunk follows its size in hexadecimal digits, and the last one is empty."""
        chunks = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(chunks)

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""

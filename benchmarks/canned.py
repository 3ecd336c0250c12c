"""A server that answers without thinking: it replays what another server said, as soon as as many bytes have come.

So a client against it shows the client's own limit in this process: sockets, two threads and one interpreter's lock are
there, and no broker. (With a stream of publishes simbus can be faster: it lets them pile up before it reads.)
``record`` stands between a client and a real server once; ``canned`` then says the same again, each piece when the
client has sent as many bytes as it had sent then. Nothing is parsed.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from selectors import EVENT_READ, DefaultSelector
from threading import Thread
from urllib.parse import urlsplit

_CHUNK = 1 << 16
_PATIENCE = 20.0  # seconds without a byte: the client does something else than what was recorded

Script = list[tuple[int, bytes]]  # how many bytes have to come before, and what is then said


def record(url: str, act: Callable[[str], object]) -> Script:
    """What the server at ``url`` says to the one connection that ``act`` makes to the URL that it is given."""
    script: Script = []
    with _serving(lambda client: _relay(client, url, script)) as own:
        act(own)
    return script


@contextmanager
def canned(script: Script) -> Iterator[str]:
    """The URL of a server that says this to whoever connects next."""
    with _serving(lambda client: _replay(client, script)) as url:
        yield url


@contextmanager
def _serving(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """One connection, served by a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_PATIENCE)

        def run() -> None:
            client, _ = listener.accept()
            with client:
                client.settimeout(_PATIENCE)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                serve(client)

        thread = Thread(target=run, daemon=True)
        thread.start()
        yield f"amqp://guest:guest@127.0.0.1:{listener.getsockname()[1]}/"
        thread.join()


def _relay(client: socket.socket, url: str, script: Script) -> None:
    address = urlsplit(url)
    received = 0
    with socket.create_connection((address.hostname, address.port)) as server, DefaultSelector() as selector:
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(client, EVENT_READ)
        selector.register(server, EVENT_READ)
        while True:
            for key, _ in selector.select(_PATIENCE):
                data = key.fileobj.recv(_CHUNK)  # type: ignore[union-attr]
                if not data:
                    return
                if key.fileobj is client:
                    received += len(data)
                    server.sendall(data)
                else:
                    script.append((received, data))
                    client.sendall(data)


def _replay(client: socket.socket, script: Script) -> None:
    received = 0
    for due, answer in script:
        while received < due:
            data = client.recv(_CHUNK)
            if not data:
                return
            received += len(data)
        client.sendall(answer)
    while client.recv(_CHUNK):
        pass

"""A network between a client and a server that can be cut or go silent.

What belongs elsewhere: what is sent through it.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that lets close() send a reset instead of a farewell."""


class Network:
    """Passes connections to 127.0.0.1:`port` on to a server until it is told otherwise."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts = self.silences = 0
        self._passes = threading.Event()
        self._passes.set()
        self._open: dict[socket.socket, socket.socket] = {}
        self._cut_after: int | None = None
        self._silent_after: int | None = None
        self._silent_seconds = 0.0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, size: int) -> None:
        """Reset the connection that next carries so many bytes to the client, in the middle of them."""
        self._cut_after = size

    def go_silent(self) -> None:
        """Keep every connection and pass nothing on, as a network does that loses every packet."""
        self._passes.clear()

    def go_silent_after(self, size: int, seconds: float) -> None:
        """Go silent for some seconds once a connection has carried so many bytes to the client, in mid-message."""
        self._silent_after, self._silent_seconds = size, seconds

    def come_back(self) -> None:
        """Pass on what has waited, and everything after it."""
        self._passes.set()

    def close(self) -> None:
        """End everything."""
        self._listener.close()
        self._passes.set()
        for client in list(self._open):
            self._reset(client)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
                self._open[client] = server
                threading.Thread(target=self._carry, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._carry, args=(server, client, True), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, to_client: bool) -> None:
        carried = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self._passes.wait()
                carried += len(data)
                if to_client and self._cut_after is not None and carried > self._cut_after:
                    self._cut_after = None
                    self.cuts += 1
                    target.sendall(data[: len(data) // 2])
                    break
                if to_client and self._silent_after is not None and carried > self._silent_after:
                    self._silent_after = None
                    target.sendall(data[: len(data) // 2])
                    data = data[len(data) // 2 :]
                    self.silences += 1
                    self.go_silent()
                    self._passes.wait(self._silent_seconds)
                    self.come_back()
                target.sendall(data)
        self._reset(target if to_client else source)

    def _reset(self, client: socket.socket) -> None:
        server = self._open.pop(client, None)
        for end in (client, server):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    end.shutdown(socket.SHUT_RD)
                end.close()


@contextlib.contextmanager
def network(server_port: int) -> Iterator[Network]:
    """Run one for the duration of the `with` block."""
    between = Network(server_port)
    try:
        yield between
    finally:
        between.close()

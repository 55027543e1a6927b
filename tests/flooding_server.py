"""A server on loopback that answers with any bytes, without an end if so told, and counts what it could send."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Flood:
    """`url`; `calls`; `sent`: bytes that went out before the other side hung up."""

    url: str = ""
    calls: int = 0
    sent: int = 0


@contextmanager
def flooding(
    pieces: Callable[[], Iterable[bytes]], headers: Mapping[str, str] | None = None, status: int = 200
) -> Iterator[Flood]:
    """The server, up within the block; a call's body ends with its pieces, as its connection does."""
    flood = Flood()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            flood.calls += 1
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for piece in pieces():
                    self.wfile.write(piece)
                    flood.sent += len(piece)
            except OSError:
                pass  # the other side has had enough
            self.close_connection = True

        do_GET = do_POST

        def log_message(self, *unused: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    flood.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield flood
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

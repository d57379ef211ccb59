"""A web site of somebody else: pages that a test writes, on a port of their own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

SAME_SITE: Final = "127.0.0.1"
"""Another port of the service's own host: another origin, to which browsers send its cookies."""

OTHER_SITE: Final = "localhost"
"""Another host, and so another site."""


class Elsewhere:
    """The site; ``asked`` are the paths that came, ``page`` is what is answered to any of them."""

    def __init__(self, port: int) -> None:
        self.asked: list[str] = []
        self.page = ""
        self._port = port

    def url(self, host: str) -> str:
        """Where it is, under one of its two names."""
        return f"http://{host}:{self._port}"


@contextmanager
def somebody_elses_site() -> Iterator[Elsewhere]:
    """The site, for as long as a test needs it. It lets scripts of any origin read it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            body = site.page.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 (the server's own names)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its own name)
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        site = Elsewhere(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()

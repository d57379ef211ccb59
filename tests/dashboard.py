"""A reader of the dashboard without scripts: pages, cookies and forms, as any browser has them."""

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import httpx

from tests.servers import Server

SESSION = "applyrate_session"


class Reader:
    """A browser window on the dashboard of a server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.http = httpx.Client(base_url=server.url, timeout=60)

    def open(self, path: str, *, follow: bool = True) -> httpx.Response:
        """Go to a page."""
        return self.http.get(path, follow_redirects=follow)

    def sign_in(self, key: str, *, at: str = "/dashboard/keys") -> httpx.Response:
        """Open a page, and give the key where that leads to the form."""
        form = self.open(at)
        return self.submit(form, "/dashboard/sign-in", {"key": key})

    def submit(
        self,
        page: httpx.Response,
        action: str,
        fields: Mapping[str, str | Sequence[str]],
        *,
        follow: bool = True,
    ) -> httpx.Response:
        """Fill in a form of a page and send it, with what it holds hidden."""
        filled = {**hidden_fields(page, action), **fields}
        return self.http.post(action, data=filled, follow_redirects=follow)


def hidden_fields(page: httpx.Response, action: str) -> dict[str, str]:
    """The hidden fields of the form with that action."""
    (form,) = re.findall(
        rf'<form method="post" action="{re.escape(action)}".*?</form>', page.text, re.DOTALL
    )
    return {
        name: html.unescape(value)
        for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)
    }


def text_of(page: httpx.Response) -> str:
    """What a page says, without its tags."""
    main = page.text.partition("<main")[2]
    words = html.unescape(re.sub(r"<[^>]+>", " ", main))
    return " ".join(words.partition(">")[2].split())


@contextmanager
def reading(server: Server, key: str | None = None) -> Iterator[Reader]:
    """A reader, signed in where a key is given."""
    reader = Reader(server)
    try:
        if key is not None:
            assert reader.sign_in(key).status_code in (200, 403)
        yield reader
    finally:
        reader.http.close()

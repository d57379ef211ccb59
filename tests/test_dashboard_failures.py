"""What goes wrong behind a page is a page as well, which says what to do and gives nothing away."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.dashboard import reading, text_of
from tests.servers import Server, running_server


def break_a_row(server: Server) -> None:
    with closing(sqlite3.connect(server.data / "applyrate.db")) as db, db:
        db.execute("UPDATE api_key SET created_at = 'not a time'")


def move_the_file_away(server: Server) -> None:
    (server.data / "applyrate.db").rename(server.data / "elsewhere.db")


@pytest.mark.parametrize(
    ("damage", "status", "told"),
    [
        (
            break_a_row,
            500,
            "Something went wrong something went wrong here; the service's log has it as find-me",
        ),
        (move_the_file_away, 503, "Not now applyrate.db cannot be read now: it is gone"),
    ],
)
def test_a_page_that_cannot_be_made_says_so(
    tmp_path: Path, damage: Callable[[Server], None], status: int, told: str
) -> None:
    with running_server(tmp_path / "data") as server:
        with reading(server, server.new_key("acme")) as reader:
            damage(server)
            reader.http.headers["X-Request-Id"] = "find-me"
            page = reader.open("/dashboard/keys")
        assert page.status_code == status
        assert told in text_of(page)
        assert "find-me" in text_of(page)
        assert "Traceback" not in page.text
        assert ("retry-after" in page.headers) == (status == 503)
        assert "content-security-policy" in page.headers

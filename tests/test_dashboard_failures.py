"""What goes wrong behind a page is a page as well, which says what to do and gives nothing away."""

from pathlib import Path

import pytest

from tests.dashboard import reading, text_of
from tests.servers import running_server


@pytest.mark.parametrize(
    ("damage", "status", "told"),
    [
        (
            "UPDATE api_key SET created_at = 'not a time'",
            500,
            "Something went wrong something went wrong here; the service's log has it as find-me",
        ),
        ("ALTER TABLE session RENAME TO lost", 503, "Not now the store cannot answer now"),
    ],
)
def test_a_page_that_cannot_be_made_says_so(
    tmp_path: Path, damage: str, status: int, told: str
) -> None:
    with running_server(tmp_path / "data") as server:
        with reading(server, server.new_key("acme")) as reader:
            with server.store._database.writing() as db:  # type: ignore[attr-defined]  # noqa: SLF001 (a damaged file)
                db.execute(damage)
            reader.http.headers["X-Request-Id"] = "find-me"
            page = reader.open("/dashboard/keys")
        assert page.status_code == status
        assert told in text_of(page)
        assert "find-me" in text_of(page)
        assert "Traceback" not in page.text
        assert ("retry-after" in page.headers) == (status == 503)
        assert "content-security-policy" in page.headers

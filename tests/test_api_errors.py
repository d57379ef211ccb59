"""Every answer that is not one: one body, the request's id, the headers that belong to it."""

import re
from pathlib import Path

import httpx
import pytest

from applyrate.errors import ErrorBody
from tests.servers import Server, running_server


def check_error(answer: httpx.Response, status: int) -> str:
    """The message of an answer that has the one form of an error."""
    body = answer.json()
    assert answer.status_code == status == body["statusCode"]
    assert set(body) == set(ErrorBody.__struct_fields__)
    assert body["error"] == httpx.codes.get_reason_phrase(status)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    return str(body["message"])


@pytest.mark.parametrize(
    "path", ["/nope", "/resource-usage", "/resource-usage/action/x", "/keys/a/b"]
)
def test_an_unknown_path_is_404(client: httpx.Client, path: str) -> None:
    assert check_error(client.get(path), 404).startswith(f"{path}: there is no such path")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/resource-usage/action/x/usage-summary", "GET"),
        ("GET", "/replies", "POST"),
        ("PATCH", "/keys", "GET, POST"),
        ("POST", "/conversations/s", "DELETE, PUT"),
        ("GET", "/keys/k", "DELETE"),
        ("OPTIONS", "/keys", "GET, POST"),
        ("OPTIONS", "/health/live", "GET"),
        ("BREW", "/docs", "GET"),
    ],
)
def test_a_wrong_method_is_405_and_the_right_ones_are_told(
    client: httpx.Client, method: str, path: str, allowed: str
) -> None:
    answer = client.request(method, path)
    assert check_error(answer, 405) == f"{path}: the path takes {allowed} and nothing else"
    assert answer.headers["allow"] == allowed


def test_head_is_405_without_a_body(client: httpx.Client) -> None:
    answer = client.head("/keys")
    assert (answer.status_code, answer.headers["allow"], answer.content) == (405, "GET, POST", b"")


def test_every_kind_of_error_has_the_one_body(server: Server) -> None:
    client, anyone = server.client(), httpx.Client(base_url=server.url)
    narrow = server.client(scopes=["org:read"])
    with anyone:
        check_error(client.get("/resource-usage/tool"), 400)
        check_error(anyone.get("/keys"), 401)
        check_error(narrow.get("/resource-usage/action"), 403)
        check_error(client.delete("/keys/none"), 404)
        check_error(client.get("/replies"), 405)
        check_error(client.post("/replies", content=b"x"), 415)


def test_every_answer_carries_the_requests_id(client: httpx.Client) -> None:
    for path in ("/health/live", "/docs", "/", "/openapi.json", "/nope", "/keys", "/replies"):
        answer = client.get(path, headers={"X-Request-Id": "my.request_ID-7"})
        assert answer.headers["x-request-id"] == "my.request_ID-7"


@pytest.mark.parametrize("given", [None, "", "a b", "a" * 129, "<script>", "a,b", "ä"])
def test_a_missing_or_odd_request_id_is_replaced(client: httpx.Client, given: str | None) -> None:
    headers = {} if given is None else {"X-Request-Id": given.encode()}
    first = client.get("/health/live", headers=headers).headers["x-request-id"]  # type: ignore[arg-type]
    second = client.get("/health/live", headers=headers).headers["x-request-id"]  # type: ignore[arg-type]
    assert re.fullmatch(r"req_[0-9a-f]{16}", first)
    assert first != second


def test_what_nobody_expected_is_500_with_the_logs_id_and_no_detail(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with running_server(tmp_path / "data") as server:
        client = server.client()
        with server.store._database.writing() as db:  # type: ignore[attr-defined]  # noqa: SLF001 (a damaged file)
            db.execute("UPDATE api_key SET created_at = 'not a time'")
        answer = client.get("/resource-usage/action", headers={"X-Request-Id": "find-me"})
    message = check_error(answer, 500)
    assert message == "something went wrong here; the service's log has it as find-me"
    told = capfd.readouterr().err
    assert (
        "ERROR request_failed: a request failed in a way that nobody expected"
        " (request_id=find-me method=GET route=/resource-usage/{resource_type})\nTraceback"
    ) in told


def test_a_store_that_cannot_be_read_is_503_with_retry_after(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        client = server.client()
        assert client.get("/resource-usage/action").status_code == 200
        (server.data / "applyrate.db").rename(server.data / "elsewhere.db")
        answer = client.get("/resource-usage/action")
        assert "applyrate.db" in check_error(answer, 503)
        assert answer.headers["retry-after"] == "5"

"""The export over HTTP: every usage, in each format, in one answer of any length."""

import csv
import json
import time
from datetime import UTC, datetime, timedelta
from io import BytesIO, StringIO
from pathlib import Path

import httpx
import psutil
import pytest

from applyrate.usage import Available, Recording, Reply
from tests.servers import Server, running_server

EXPORT = "/export/usages"
START = datetime(2026, 3, 1, tzinfo=UTC)
ROWS = [
    ("2026-03-01T10:00:00Z", "r_1", "s_1", "instruction", "=ins", "available", 1),
    ("2026-03-01T10:00:00Z", "r_1", "s_1", "instruction", "=ins", "applied", 1),
    ("2026-03-01T10:00:00Z", "r_1", "s_1", "action", "look", "applied", 2),
    ("2026-03-02T10:00:00.250000Z", "r_2", "s_2", "knowledge", "kb", "available", 1),
]
COLUMNS = ["replied_at", "reply_id", "session_id", "resource_type", "resource_id", "usage", "count"]


@pytest.fixture(scope="module")
def org(server: Server) -> str:
    """An organization with the usages above."""
    org = server.new_org()
    replies = [
        {
            "reply_id": "r_2",
            "session_id": "s_2",
            "replied_at": "2026-03-02T10:00:00.25Z",
            "available": {"knowledge": ["kb"]},
        },
        {
            "reply_id": "r_1",
            "session_id": "s_1",
            "replied_at": "2026-03-01T10:00:00Z",
            "applied": {"instruction": ["=ins"], "action": ["look", "look"]},
        },
    ]
    assert server.client(org).post("/replies", json=replies).json()["accepted"] == 2
    return org


@pytest.fixture
def exporter(server: Server, org: str) -> httpx.Client:
    return server.client(org)


def by_reply(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """The rows in the order of the export as far as it is promised: by time and reply."""
    return sorted(rows, key=lambda row: (row[0], row[1], str(row)))


def test_every_usage_is_a_line_of_json(exporter: httpx.Client) -> None:
    answer = exporter.get(EXPORT)
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"] == 'attachment; filename="usages.ndjson"'
    lines = [json.loads(line) for line in answer.content.splitlines()]
    assert list(lines[0]) == COLUMNS
    rows = [tuple(line.values()) for line in lines]
    assert by_reply(rows) == by_reply(list(ROWS))
    assert [row[1] for row in rows] == ["r_1", "r_1", "r_1", "r_2"]


def test_every_usage_is_a_row_of_csv_that_no_spreadsheet_runs(exporter: httpx.Client) -> None:
    answer = exporter.get(EXPORT, params={"format": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    head, *rows = csv.reader(StringIO(answer.text, newline=""))
    assert head == COLUMNS
    told = [tuple(cell.replace("=ins", "'=ins") for cell in map(str, row)) for row in ROWS]
    assert by_reply([tuple(row) for row in rows]) == by_reply(list(told))


def test_every_usage_is_a_row_of_parquet(exporter: httpx.Client) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    answer = exporter.get(EXPORT, params={"format": "parquet"})
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    table = parquet.read_table(BytesIO(answer.content))
    assert table.column_names == COLUMNS
    rows = [tuple(row.values()) for row in table.to_pylist()]
    told = [(datetime.fromisoformat(str(row[0])), *row[1:]) for row in ROWS]
    assert by_reply(rows) == by_reply(list(told))


def test_without_its_package_parquet_is_refused_with_what_to_install(tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['pyarrow'] = None"
    with running_server(tmp_path / "data", prelude=hidden) as server:
        answer = server.client().get(EXPORT, params={"format": "parquet"})
    assert answer.status_code == 400
    assert "applyrate[server,parquet]" in answer.json()["message"]


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", "application/x-ndjson"),
        ("text/csv", "text/csv; charset=utf-8"),
        ("application/x-ndjson;q=0.5, text/csv", "text/csv; charset=utf-8"),
        ("text/html", "application/x-ndjson"),
    ],
)
def test_without_a_format_the_answer_is_what_the_caller_accepts(
    exporter: httpx.Client, accept: str, content_type: str
) -> None:
    answer = exporter.get(EXPORT, headers={"Accept": accept})
    assert answer.headers["content-type"] == content_type
    assert exporter.get(EXPORT, params={"format": "ndjson"}, headers={"Accept": accept}).headers[
        "content-type"
    ] == ("application/x-ndjson")


def test_the_window_is_half_open_and_an_empty_one_has_no_rows(exporter: httpx.Client) -> None:
    window = {"from": "2026-03-01T10:00:00.000001Z", "to": "2026-03-02T10:00:00.25Z"}
    assert exporter.get(EXPORT, params=window).content == b""
    assert exporter.get(EXPORT, params={**window, "format": "csv"}).text == (
        ",".join(COLUMNS) + "\r\n"
    )
    assert exporter.get(EXPORT, params={"to": "2026-03-01"}).content.count(b"\n") == 3


def test_what_is_wrong_is_told_before_the_answer_begins(exporter: httpx.Client) -> None:
    for query, told in (
        ({"format": "xml"}, "format: 'xml' is not one of ndjson, csv, parquet"),
        ({"from": "x"}, "from: 'x' is not an ISO 8601 date or date-time"),
    ):
        answer = exporter.get(EXPORT, params=query)
        assert answer.status_code == 400
        assert answer.json()["message"] == told


@pytest.mark.parametrize("missing", ["training:read", "actions:read", "chat-sessions:read"])
def test_a_key_needs_the_scopes_of_all_types(server: Server, org: str, missing: str) -> None:
    scopes = {"training:read", "actions:read", "chat-sessions:read"} - {missing}
    answer = server.client(org, sorted(scopes)).get(EXPORT)
    assert answer.json()["message"] == f"the key lacks the scope {missing}"


def fill(server: Server, org: str, count: int) -> None:
    """So many replies, each with 20 usages."""
    ids = [f"kb_{n}" for n in range(20)]
    replies = [
        Reply(f"r_{n}", f"s_{n}", START + timedelta(minutes=n), available=Available(knowledge=ids))
        for n in range(count)
    ]
    server.store.record([Recording(org, replies)])


def test_a_long_export_is_read_no_faster_than_it_is_taken(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        org = server.new_org()
        fill(server, org, 10_000)
        process = psutil.Process(server.process.pid)
        client = server.client(org)
        client.get(EXPORT, params={"to": "2026-03-01"})
        before = process.memory_info().rss
        with client.stream("GET", EXPORT) as answer:
            pieces = answer.iter_raw()
            length = len(next(pieces))
            time.sleep(1)
            grown = process.memory_info().rss - before
            length += sum(map(len, pieces))
        assert length > 30_000_000
        assert grown < 10_000_000


def test_an_export_that_breaks_off_does_not_look_whole(tmp_path: Path) -> None:
    breaking = (
        "from applyrate.store.sqlite import SQLiteStore as S; usages = S.usages;"
        "S.usages = lambda *a: (1 / 0 if n > 9_000 else row for n, row in enumerate(usages(*a)))"
    )
    with running_server(tmp_path / "data", prelude=breaking) as server:
        org = server.new_org()
        fill(server, org, 1_000)
        with pytest.raises(httpx.RemoteProtocolError):
            server.client(org).get(EXPORT)

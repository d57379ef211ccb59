"""The log: one event a line, with the request it belongs to, and no more than was asked for."""

import logging
import re
import sqlite3
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from applyrate.errors import InvalidInput
from applyrate.observability.context import REQUEST_ID, in_this_context
from applyrate.observability.events import Event
from applyrate.observability.logs import JsonFormatter, TextFormatter, tell
from applyrate.settings import load_settings
from tests.monitoring import ROOT, json_lines, told, wait_until
from tests.servers import end_process, running_server, start_process

SECRET_PATH = "/resource-usage/action/who_secret/usage-summary"
REPLY = {"reply_id": "r", "session_id": "s", "replied_at": "2026-03-01T10:00:00Z"}


def test_nothing_is_logged_while_nothing_is_wrong(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with running_server(tmp_path / "data") as server:
        server.client().get("/keys")
        server.client().get("/nothing")
    assert capfd.readouterr().err == ""


def test_the_life_of_the_service_is_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    process, url = start_process(tmp_path / "data", log_level="info", log_format="json")
    end_process(process)
    lines = json_lines(capfd.readouterr().err)
    assert [line["event"] for line in lines] == [
        "service_started",
        "service_stopping",
        "service_stopped",
    ]
    assert lines[0]["url"] == url
    assert lines[0]["data"] == str(tmp_path / "data")
    assert {line["level"] for line in lines} == {"info"}
    assert datetime.fromisoformat(lines[0]["at"]).tzinfo is not None


def test_each_request_is_logged_with_its_id_and_without_its_address(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with running_server(tmp_path / "data", access_log="on", log_format="json") as server:
        client = server.client()
        key = str(client.headers["authorization"]).rpartition(" ")[2]
        client.get(f"{SECRET_PATH}?q=who_secret", headers={"X-Request-Id": "one"})
        httpx.get(f"{server.url}/dashboard/open/who_secret")
        client.get("/nothing/who_secret")
        client.post("/replies", json=REPLY, headers={"X-Request-Id": "four"})
    err = capfd.readouterr().err
    lines = json_lines(err)
    assert [(line["event"], line["method"], line["status"]) for line in lines] == [
        ("request_answered", "GET", 200),
        ("request_answered", "GET", lines[1]["status"]),
        ("request_answered", "GET", 404),
        ("request_answered", "POST", 200),
    ]
    assert (lines[0]["request_id"], lines[3]["request_id"]) == ("one", "four")
    assert lines[0]["route"] == "/resource-usage/{resource_type}/{resource_id}/usage-summary"
    assert lines[0]["duration_seconds"] > 0
    assert "who_secret" not in err
    assert key not in err


def test_an_error_nobody_expected_is_one_line_with_its_traceback(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with running_server(tmp_path / "data", log_format="json") as server:
        client = server.client()
        with server.store._database.writing() as db:  # type: ignore[attr-defined]  # noqa: SLF001 (a damaged file)
            db.execute("UPDATE api_key SET created_at = 'not a time'")
        answer = client.get(SECRET_PATH, headers={"X-Request-Id": "find-me"})
        assert answer.status_code == 500
    (line,) = json_lines(capfd.readouterr().err)
    assert line["event"] == "request_failed"
    assert line["level"] == "error"
    assert line["request_id"] == "find-me"
    assert line["traceback"].startswith("Traceback (most recent call last)")


def test_a_file_that_cannot_be_written_is_told_once_and_once_when_it_can_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    prelude = "from applyrate.store.sqlite import database; database.BUSY_SECONDS = 0.05"
    with running_server(tmp_path / "data", prelude=prelude, log_format="json") as server:
        client = server.client()
        with closing(sqlite3.connect(server.data / "applyrate.db", isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            for request_id in ("first", "second"):
                headers = {"X-Request-Id": request_id}
                assert client.post("/replies", json=REPLY, headers=headers).status_code == 503
            db.execute("ROLLBACK")
        wait_until(lambda: client.post("/replies", json=REPLY).status_code == 200)
        time.sleep(2.1)  # one success among failures does not end a trouble
        assert client.post("/replies", json=REPLY).status_code == 200
    lines = json_lines(capfd.readouterr().err)
    (failing,) = told(lines, "file_unusable")
    (recovered,) = told(lines, "file_usable")
    assert (failing["file"], failing["doing"]) == ("applyrate.db", "written")
    assert "database is locked" in failing["problem"]
    assert recovered["count"] >= 2
    assert recovered["seconds"] >= 2


def test_a_limit_that_refuses_is_told_to_whoever_wants_to_know(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with running_server(
        tmp_path / "data", log_level="info", log_format="json", standard_limit=1
    ) as server:
        client = server.client()
        for _ in range(2):
            client.get("/keys")
    (line,) = told(json_lines(capfd.readouterr().err), "limit_hit")
    assert (line["limit"], line["route"]) == ("standard_limit", "/keys")
    assert line["request_id"].startswith("req_")


def test_a_thread_that_works_for_a_request_knows_its_id(caplog: pytest.LogCaptureFixture) -> None:
    formatted = []

    def work() -> None:
        tell(Event.CHANGES_UNREADABLE, org="acme")
        formatted.append(JsonFormatter().format(caplog.records[-1]))

    token = REQUEST_ID.set("mine")
    try:
        with ThreadPoolExecutor(1) as threads:
            threads.submit(in_this_context(work)).result()
    finally:
        REQUEST_ID.reset(token)
    assert json_lines(formatted[0])[0]["request_id"] == "mine"


def test_text_is_read_by_a_person_and_cannot_forge_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tell(Event.CHANGES_UNREADABLE, org="acme", problem="it\nis (a='b')")
    line = TextFormatter().format(caplog.records[-1])
    assert re.fullmatch(
        r"[0-9-]{10}T[0-9:.]{12}Z ERROR changes_unreadable: what changed cannot be read for the"
        r" streams \(org=acme problem=\"it\\nis \(a='b'\)\"\)",
        line,
    )


def test_what_a_library_logs_is_a_line_like_any_other() -> None:
    try:
        int("wrong")
    except ValueError:
        record = logging.LogRecord(
            "asyncio", logging.ERROR, "", 0, "%s was %s", ("task", "lost"), sys.exc_info()
        )
    (line,) = json_lines(JsonFormatter().format(record))
    assert (line["event"], line["level"], line["logger"]) == ("library_message", "error", "asyncio")
    assert line["message"] == "task was lost"
    assert line["traceback"].endswith("'wrong'")


def test_everything_that_is_logged_is_an_event() -> None:
    source = ROOT / "src" / "applyrate"
    for file in source.rglob("*.py"):
        if file.name != "logs.py" and not file.is_relative_to(source / "client"):
            text = file.read_text(encoding="utf-8")
            assert "getLogger" not in text, f"{file}: call tell() with an Event"


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("LOG_FORMAT", "is not one of text, json"),
        ("LOG_LEVEL", "is not one of debug, info, warning, error"),
        ("ACCESS_LOG", "is not one of on, off"),
        ("METRICS", "is not one of open, key, off"),
    ],
)
def test_a_setting_with_few_values_names_them(name: str, rule: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        load_settings({f"APPLYRATE_{name}": "xml"})
    assert refused.value.message == f"APPLYRATE_{name}: 'xml' {rule}"

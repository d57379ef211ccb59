"""The page of the intake: what arrived, what of it gave no reply, and what to do next."""

import html
import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.dashboard import Reader, reading, text_of
from tests.exporting import AGENT, export, sent, settle, trace_id
from tests.servers import Server, running_server

PATH = "/dashboard/intake"
SECONDS = 20


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that waits for nothing."""
    data = tmp_path_factory.mktemp("intake") / "data"
    with running_server(data, trace_quiet_seconds=0, exclude_attributes="app.test") as server:
        yield server


def lines_of(page: httpx.Response) -> list[str]:
    """What the page shows to be pasted."""
    lines = re.findall(r"<pre[^>]*><code>(.*?)</code></pre>", page.text, re.DOTALL)
    return [html.unescape(text) for text in lines]


def test_whoever_has_nothing_yet_reads_how_to_send_it_to_this_address(service: Server) -> None:
    org = service.new_org()
    with reading(service, service.new_key(org)) as reader:
        page = reader.open(PATH)
        exporter, curl = lines_of(page)
        assert "Nothing has arrived yet" in text_of(page)
        assert f"OTEL_EXPORTER_OTLP_ENDPOINT={service.url}\n" in exporter
        environ = {**os.environ, "KEY": service.new_key(org, ["usage:write"])}
        pasted = subprocess.run(
            ["bash", "-c", curl], env=environ, capture_output=True, text=True, check=True
        )
        assert '"accepted":1' in pasted.stdout
        assert "1 of all time" in text_of(reader.open(PATH))


def test_a_host_header_cannot_write_into_the_lines(service: Server) -> None:
    with reading(service, service.new_key(service.new_org())) as reader:
        reader.http.headers["Host"] = "a'$(id)'"
        for lines in lines_of(reader.http.get(PATH)):
            words = shlex.split(lines)
            assert any("http://a'$(id)'" in word for word in words)
            said = subprocess.run(
                ["bash", "-c", f"curl() {{ :; }}; set -x; {lines}"], capture_output=True, check=True
            )
            assert b"uid=" not in said.stderr


def test_traces_without_a_reply_are_listed_with_what_is_missing(service: Server) -> None:
    org = service.new_org()
    client = service.client(org)
    for number in (1, 2):
        export(
            client,
            sent("a", None, {**AGENT, "app.chat": f"c_{number}"}, trace=number),
            service="shop",
        )
    export(client, sent("a", None, {**AGENT, "app.test": "1"}, trace=7), service="shop")
    settle(client)
    with reading(service, service.new_key(org)) as reader:
        told = text_of(reader.open(PATH))
    assert "Traces without a reply 2 " in told
    assert "Traces excluded 1 " in told
    assert "shop 2 traces genai No attribute names their conversation." in told
    assert f"Newest trace {trace_id(2)}" in told
    assert "app.chat 2 c_2, c_1" in told


def test_what_was_rejected_is_shown_with_its_reason_and_the_newest_below(service: Server) -> None:
    org = service.new_org()
    client = service.client(org)
    with reading(service, service.new_key(org)) as reader:
        assert "Nothing has arrived yet" in text_of(reader.open(PATH))
        wrong = {"reply_id": "<r>", "session_id": 5, "replied_at": "2026-03-01T10:00:00Z"}
        assert client.post("/replies", json=[wrong, wrong]).status_code == 400
        told = seen(reader, "Rejected 2 in 30 days, listed below")
        assert "session_id: is not a string POST /replies 2" in told
        newest = "session_id: 5 is not a string POST /replies · index {} · reply <r>"
        assert newest.format(1) in told
        assert told.index(newest.format(1)) < told.index(newest.format(0))


def test_what_arrived_is_shown_by_sender(service: Server) -> None:
    org = service.new_org()
    client = service.client(org)
    named = {**AGENT, "gen_ai.conversation.id": "c"}
    export(client, sent("a", None, named, trace=1), sent("b", "a", trace=1), service="shop")
    export(client, sent("a", None, named, trace=2), service="")
    client.post(
        "/replies",
        json={"reply_id": "r", "session_id": "s", "replied_at": "2026-03-01T10:00:00Z"},
    ).raise_for_status()
    settle(client)
    with reading(service, service.new_key(org)) as reader:
        told = seen(reader, "Senders of replies POST /replies 1 reply")
        assert "shop POST /v1/traces 2 spans just now" in told
        assert "A service without a name POST /v1/traces 1 span just now" in told
        assert "Nothing. A reply, a span or a line of a file that breaks a rule" in told


def test_the_depth_of_the_inbox_is_what_waits_there(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", trace_quiet_seconds=3600) as patient:
        org = patient.new_org()
        client = patient.client(org)
        export(client, sent("t", "a", AGENT, trace=1), sent("u", "a", AGENT, trace=1))
        export(client, sent("t", "a", AGENT, trace=2))
        with reading(patient, patient.new_key(org)) as reader:
            assert "Spans waiting 3 of 2 traces, the oldest just now" in text_of(reader.open(PATH))


def seen(reader: Reader, words: str) -> str:
    """What the page says, once it says these words: it is told them a second later."""
    deadline = time.monotonic() + SECONDS
    while words not in (told := text_of(reader.open(PATH))):
        assert time.monotonic() < deadline, told
        time.sleep(0.1)
    return told


def test_an_attribute_is_made_the_conversations_name_from_the_page(service: Server) -> None:
    org = service.new_org()
    client = service.client(org)
    for number in (1, 2):
        export(client, sent("a", None, {**AGENT, "app.chat": f"c_{number}"}, trace=number))
    settle(client)
    with reading(service, service.new_key(org)) as reader:
        page = reader.open(PATH)
        (fields,) = {
            (proof, name)
            for proof, name in re.findall(
                r'name="csrf_token" value="(\w+)">\s*<input type="hidden" name="attribute"'
                r' value="(app.chat)"',
                page.text,
            )
        }
        after = reader.http.post(PATH, data={"csrf_token": fields[0], "attribute": fields[1]})
        told = text_of(after)
        assert "now read from app.chat , too: 2 replies of 2 conversations recorded" in told
        assert "Conversations recorded 2" in told
        assert "Every trace of an agent that arrived gave a reply." in told
        empty = reader.http.post(PATH, data={"csrf_token": fields[0], "attribute": " "})
        assert empty.status_code == 400
    export(client, sent("a", None, {**AGENT, "app.chat": "c_9"}, trace=9))
    assert settle(client)["items"] == []


def test_whoever_may_only_look_maps_nothing(service: Server) -> None:
    org = service.new_org()
    client = service.client(org)
    export(client, sent("a", None, {**AGENT, "app.chat": "c_1"}, trace=1))
    settle(client)
    with reading(service, service.new_key(org, ["chat-sessions:read"])) as reader:
        page = reader.open(PATH)
        assert "app.chat" in page.text
        assert "Use it" not in page.text
        (proof,) = set(re.findall(r'name="csrf_token" value="(\w+)"', page.text))
        refused = reader.http.post(PATH, data={"csrf_token": proof, "attribute": "app.chat"})
        assert refused.status_code == 403
        assert "chat-sessions:write" in text_of(refused)

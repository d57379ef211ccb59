"""The metrics: what happened is counted, under labels that name nobody."""

import gzip
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.listening import listening
from tests.monitoring import agent_trace, metrics_of, promtool, wait_until
from tests.servers import Server, running_server

REPLY = {
    "reply_id": "r_secret",
    "session_id": "conv_secret",
    "replied_at": "2026-03-01T10:00:00Z",
    "applied": {"action": ["action_secret"]},
}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    """A service that only this test asks."""
    with running_server(
        tmp_path / "data", metrics="open", max_line_bytes=200, trace_quiet_seconds=0
    ) as server:
        yield server


def test_by_default_they_need_a_key_with_their_scope(server: Server) -> None:
    assert httpx.get(f"{server.url}/metrics").status_code == 401
    assert server.client(scopes=["training:read"]).get("/metrics").status_code == 403
    answer = server.client(scopes=["metrics:read"]).get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "applyrate_build_info{" in answer.text


def test_they_may_be_open_to_everyone_or_to_nobody(tmp_path: Path) -> None:
    with running_server(tmp_path / "open", metrics="open") as server:
        assert httpx.get(f"{server.url}/metrics").status_code == 200
    with running_server(tmp_path / "off", metrics="off") as server:
        for client in (httpx.Client(base_url=server.url), server.client()):
            answer = client.get("/metrics")
            assert answer.status_code == 404
            assert "set to tell no metrics" in answer.json()["message"]
            client.close()


def test_open_metrics_are_answered_where_they_are_asked_for(server: Server) -> None:
    accept = "application/openmetrics-text; version=1.0.0, text/plain;q=0.5"
    answer = server.client().get("/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")


def test_replies_are_counted_by_what_became_of_them(own: Server) -> None:
    client = own.client()
    other = {**REPLY, "session_id": "other"}
    client.post("/replies", json=REPLY)
    client.post("/replies", json=[REPLY, other, {**REPLY, "reply_id": 7}])
    overlong = b'{"reply_id": "' + b"x" * 300 + b'"}\n'
    client.post("/replies", content=overlong * 2, headers={"Content-Type": "application/x-ndjson"})
    counted = metrics_of(client)
    assert counted["applyrate_replies_accepted_total"] == 1
    assert counted["applyrate_replies_duplicate_total"] == 1
    assert counted["applyrate_replies_rejected_total|reason=conflict"] == 1
    assert counted["applyrate_replies_rejected_total|reason=invalid"] == 1
    assert counted["applyrate_replies_rejected_total|reason=overlong"] == 2
    assert counted["applyrate_limits_hit_total|limit=max_line_bytes"] == 2
    assert counted["applyrate_usages"] == 1
    assert counted["applyrate_commit_size_sum|database=store"] == 3
    assert counted["applyrate_commit_size_count|database=store"] == 2
    assert counted["applyrate_commit_duration_seconds_count|database=store"] == 2
    assert counted["applyrate_database_bytes|database=store|file=database"] > 0
    client.delete("/conversations/gone")
    client.post("/replies", json={**REPLY, "reply_id": "late", "session_id": "gone"})
    counted = metrics_of(client)
    assert counted["applyrate_replies_rejected_total|reason=gone"] == 1
    assert counted["applyrate_replies_rejected_total|reason=conflict"] == 1


def test_requests_are_counted_by_their_route_and_nobody_can_make_up_a_label(own: Server) -> None:
    client = own.client()
    for resource_id in ("first_secret", "second_secret"):
        client.get(f"/resource-usage/action/{resource_id}/usage-summary")
    for path in ("/made/up", "/made/up/2"):
        client.get(path)
    own.request_raw("BREW", "/made/up")
    client.delete("/replies")
    counted = metrics_of(client)
    route = "/resource-usage/{resource_type}/{resource_id}/usage-summary"
    requests = "applyrate_http_requests_total"
    assert counted[f"{requests}|method=GET|route={route}|status=200"] == 2
    assert counted[f"applyrate_http_request_duration_seconds_count|method=GET|route={route}"] == 2
    assert counted[f"{requests}|method=GET|route=unmatched|status=404"] == 2
    assert not [name for name in counted if "BREW" in name or "made" in name]
    assert counted["applyrate_http_requests_under_way"] == 1, "the one that asks"


def test_no_key_organization_or_id_is_told(own: Server) -> None:
    org = own.new_org()
    key = own.new_key(org)
    client = own.client(key=key)
    client.post("/replies", json=REPLY)
    client.get("/resource-usage/action/action_secret/conversations")
    client.get("/dashboard/open/link_secret")
    client.get("/metrics", headers={"X-Request-Id": "request_secret"})
    text = client.get("/metrics").text
    assert "secret" not in text
    assert org not in text
    assert key[-8:] not in text


def test_a_limit_that_refuses_is_counted_by_its_setting(tmp_path: Path) -> None:
    with running_server(
        tmp_path / "data",
        metrics="open",
        standard_limit=1,
        streaming_limit=1,
        max_body_bytes=100,
    ) as server:
        client = server.client()
        for _ in range(3):
            client.get("/keys")
        client.post("/replies", json=["x" * 200])
        client.post("/replies", json=[])
        small = gzip.compress(b" " * 1_000)
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        server.client().post("/replies", content=small, headers=headers)
        counted = metrics_of(client)
    assert counted["applyrate_limits_hit_total|limit=standard_limit"] == 2
    assert counted["applyrate_limits_hit_total|limit=streaming_limit"] == 1
    assert counted["applyrate_limits_hit_total|limit=max_body_bytes"] == 2
    assert counted["applyrate_limits_hit_total|limit=max_streams"] == 0


def test_open_streams_are_told(own: Server) -> None:
    client = own.client()
    assert metrics_of(client)["applyrate_open_streams"] == 0
    with listening(client):
        assert metrics_of(client)["applyrate_open_streams"] == 1
    wait_until(lambda: metrics_of(client)["applyrate_open_streams"] == 0)


def test_traces_are_counted_by_what_became_of_them(own: Server) -> None:
    client = own.client()
    named = agent_trace("ab" * 16, gen_ai__conversation__id="conv_secret")
    for trace in (named, agent_trace("cd" * 16)):
        client.post("/v1/traces", json=trace).raise_for_status()
    settled = "applyrate_traces_settled_total|state="
    wait_until(lambda: metrics_of(client)[f"{settled}unattributed"] == 1)
    wait_until(lambda: metrics_of(client)[f"{settled}derived"] == 1)
    counted = metrics_of(client)
    assert counted["applyrate_spans_accepted_total"] == 2
    assert counted["applyrate_replies_accepted_total"] == 1
    assert counted["applyrate_inbox_spans"] == 2
    assert counted["applyrate_inbox_waiting_traces"] == 0
    assert counted["applyrate_inbox_oldest_seconds"] == 0
    assert counted["applyrate_commit_size_sum|database=inbox"] == 2


def test_promtool_finds_nothing_to_mend(own: Server) -> None:
    text = own.client().get("/metrics").content
    checked = subprocess.run(
        [promtool(), "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr

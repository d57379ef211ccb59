"""Several services share keys: one that is revoked on one of them stops working on all."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx

from applyrate.api.known_keys import MAX_AGE_SECONDS, PATIENCE_SECONDS, REVOKED_WITHIN
from tests.listening import listening
from tests.nodes import new_key, running_node, wait_until
from tests.remote_store import store_process
from tests.servers import running_server

WITHIN_SECONDS = REVOKED_WITHIN.total_seconds()


def key_id_of(client: httpx.Client) -> str:
    """The id of the only key of a client's organization."""
    (key,) = client.get("/keys").json()["items"]
    return str(key["key_id"])


def seconds_until(is_so: Callable[[], bool]) -> float:
    began_at = time.monotonic()
    wait_until(is_so)
    return time.monotonic() - began_at


def test_a_key_revoked_by_one_service_opens_nothing_on_the_other(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_server(data) as one, running_server(data) as other:
        org = one.new_org()
        there = other.client(org)
        own_id = key_id_of(there)
        here = one.client(org)
        with listening(there) as stream:
            assert there.get("/keys").status_code == 200
            assert here.delete(f"/keys/{own_id}").status_code == 200
            assert there.get("/keys").status_code == 401
            assert stream.ends()


def test_the_bound_leaves_time_to_ask_and_an_answer_of_five_seconds_ago() -> None:
    assert MAX_AGE_SECONDS + PATIENCE_SECONDS + 5 <= WITHIN_SECONDS


def test_a_key_revoked_by_one_node_stops_working_on_all_within_ten_seconds(tmp_path: Path) -> None:
    with (
        store_process(tmp_path / "store") as store,
        running_node(tmp_path / "one", store) as one,
        running_node(tmp_path / "other", store) as other,
    ):
        busy, idle, owner = (new_key(store, org) for org in ("acme", "quiet", "acme"))
        with one.client(owner) as here, other.client(busy) as there, one.client(busy) as used:
            keys = here.get("/keys").json()["items"]
            busy_id = keys[0]["key_id"]
            assert used.get("/keys").status_code == 200
            assert there.get("/keys").status_code == 200
            assert here.delete(f"/keys/{busy_id}").status_code == 200
            assert used.get("/keys").status_code == 401, "on the node that revokes it, at once"
            seconds = seconds_until(lambda: there.get("/keys").status_code == 401)
            assert seconds < WITHIN_SECONDS
            assert there.get("/keys").status_code == 401
        with other.client(idle) as there, one.client(idle) as here:
            own_id = key_id_of(there)
            assert here.delete(f"/keys/{own_id}").status_code == 200
            time.sleep(WITHIN_SECONDS)
            assert there.get("/keys").status_code == 401, "though nobody used it meanwhile"


def test_a_key_that_nobody_knows_is_asked_for_in_vain_while_the_store_is_away(
    tmp_path: Path,
) -> None:
    with store_process(tmp_path / "store") as store:
        known, unknown = new_key(store, "acme"), new_key(store, "acme")
        reply = {"reply_id": "r", "session_id": "s", "replied_at": "2026-03-01T10:00:00Z"}
        with running_node(tmp_path / "node", store) as node:
            with node.client(known) as client:
                assert client.get("/keys").status_code == 200
                store.kill()
                assert client.post("/replies", json=reply).status_code == 200
            with node.client(unknown) as client:
                refused = client.post("/replies", json=reply)
                assert refused.status_code == 503
                assert "retry-after" in refused.headers

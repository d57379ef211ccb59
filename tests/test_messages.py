"""Where the texts of messages are not to be stored, no file and no answer has any."""

from pathlib import Path
from typing import Any

from tests.commands import answer, run
from tests.exporting import AGENT, executed, export, sent, settle
from tests.servers import running_server
from tests.test_erasing import bytes_of, wait_until

SAID = "whispered in confidence"


def body(reply_id: str, **more: Any) -> dict[str, Any]:
    return {
        "reply_id": reply_id,
        "session_id": "s_1",
        "replied_at": "2026-03-01T10:00:00Z",
        "applied": {"action": ["look"]},
        "last_message": SAID,
        **more,
    }


def test_none_is_stored_whichever_way_it_comes(tmp_path: Path) -> None:
    with running_server(tmp_path, store_messages="false", trace_quiet_seconds=0) as server:
        client = server.client("acme")
        client.post("/replies", json=body("r_1", ticket_number=7)).raise_for_status()
        facts = {"last_message": SAID, "csat": 3}
        client.put("/conversations/s_1", json=facts).raise_for_status()
        output = f'[{{"role":"assistant","parts":[{{"type":"text","content":"{SAID}"}}]}}]'
        said = {"gen_ai.output.messages": output, "gen_ai.conversation.id": "s_2"}
        export(client, sent("a", None, AGENT | said), executed("t", "a", "look"))
        settle(client)
        where = "/resource-usage/action/look/conversations"
        wait_until(lambda: len(client.get(where).json()["items"]) == 2)
        rows = client.get(where).json()["items"]
        assert {(row["session_id"], row["last_message"]) for row in rows} == {
            ("s_1", None),
            ("s_2", None),
        }
        known = client.get("/conversations/s_1/usage").json()
        assert (known["ticket_number"], known["csat"], known["last_message"]) == (7, 3, None)
    assert SAID.encode() not in bytes_of(tmp_path)


def test_those_that_are_stored_are_not_shown_and_go_when_that_is_asked(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        client = server.client("acme")
        client.post("/replies", json=[body("r_1"), body("r_2", session_id="s_2")])
        client.put("/conversations/s_2", json={"last_message": f"{SAID}, later"})
        output = f'[{{"role":"assistant","parts":[{{"type":"text","content":"{SAID}"}}]}}]'
        export(client, sent("a", None, AGENT | {"gen_ai.output.messages": output}))
        assert client.get("/conversations/s_1/usage").json()["last_message"] == SAID
    with running_server(tmp_path, store_messages="false") as server:
        client = server.client("acme")
        assert client.get("/conversations/s_1/usage").json()["last_message"] is None
        rows = client.get("/resource-usage/action/look/conversations").json()["items"]
        assert [row["last_message"] for row in rows] == [None, None]
    assert SAID.encode() in bytes_of(tmp_path)
    where = ("--data", tmp_path, "--org", "acme")
    erased = answer("erase", "--messages", "--yes", *where)
    assert erased == {"session_count": 0, "reply_count": 0, "message_count": 2}
    assert SAID.encode() not in bytes_of(tmp_path)
    shown = run("conversations", "action", "look", *where)
    assert "s_1" in shown.stdout


def test_an_import_stores_none_either(tmp_path: Path) -> None:
    line = (
        '{"reply_id":"r_1","session_id":"s_1","replied_at":"2026-03-01T10:00:00Z",'
        f'"last_message":"{SAID}"}}'
    )
    file = tmp_path / "replies.ndjson"
    file.write_text(line)
    data = tmp_path / "data"
    done = run("import", file, "--format", "replies", "--data", data, store_messages="false")
    assert done.exit_code == 0
    assert SAID.encode() not in bytes_of(data)

"""``applyrate unattributed`` and ``attribute``: from traces without a conversation to replies."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import answer, run
from tests.exporting import AGENT, CONVERSATION, executed, export, sent, settle
from tests.servers import Server, running_server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that waits for nothing."""
    with running_server(
        tmp_path_factory.mktemp("attribute") / "data", trace_quiet_seconds=0
    ) as server:
        yield server


def send_traces(service: Server, org: str, count: int, *, chats: int, first: int = 1) -> None:
    """Traces of one invocation each, in so many conversations that only ``app.chat`` names."""
    client = service.client(org)
    for number in range(first, first + count):
        chat = {**AGENT, "app.chat": f"c_{number % chats}"}
        root = sent("a", None, chat, trace=number)
        export(client, root, executed("t", "a", "look", trace=number), service="shop")
    settle(client)


def invocations(service: Server, org: str) -> int:
    where = ("--org", org, "--data", service.data)
    return int(answer("summary", "action", "look", *where)["applied_replies"])


def test_the_traces_become_replies_once_their_attribute_is_mapped(service: Server) -> None:
    org = service.new_org()
    where = ("--org", org, "--data", service.data)
    send_traces(service, org, 5, chats=2)
    assert invocations(service, org) == 0
    brought = answer("attribute", "--from-attribute", "app.chat", *where)
    assert brought == {"reply_count": 5, "conversation_count": 2, "remaining_trace_count": 0}
    assert invocations(service, org) == 5
    assert answer("unattributed", *where)["items"] == []
    again = answer("attribute", "--from-attribute", "app.chat", *where)
    assert again == {"reply_count": 0, "conversation_count": 0, "remaining_trace_count": 0}


def test_the_mapping_holds_for_what_comes_later(service: Server) -> None:
    org = service.new_org()
    where = ("--org", org, "--data", service.data)
    answer("attribute", "--from-attribute", "app.chat", *where)
    send_traces(service, org, 3, chats=3)
    assert invocations(service, org) == 3
    assert answer("unattributed", *where)["mapped_attributes"] == ["app.chat"]


def test_a_mapping_belongs_to_its_organization(service: Server) -> None:
    org, other = service.new_org(), service.new_org()
    send_traces(service, other, 1, chats=1)
    answer("attribute", "--from-attribute", "app.chat", "--org", org, "--data", service.data)
    assert len(answer("unattributed", "--org", other, "--data", service.data)["items"]) == 1


def test_an_attribute_that_no_trace_has_leaves_all_as_it_was(service: Server) -> None:
    org = service.new_org()
    send_traces(service, org, 2, chats=1)
    where = ("--org", org, "--data", service.data)
    result = run("attribute", "--from-attribute", "app.nothing", *where)
    assert result.exit_code == 0
    assert "0 replies attributed, in 0 conversations; 2 traces remain without one" in " ".join(
        result.stdout.split()
    )
    assert answer("unattributed", *where)["items"][0]["trace_count"] == 2


def test_the_command_answers_as_the_api_does(service: Server) -> None:
    org = service.new_org()
    send_traces(service, org, 2, chats=2)
    answered = service.client(org).get("/intake/unattributed").json()
    assert answer("unattributed", "--org", org, "--data", service.data) == answered


def test_the_table_tells_what_came_what_is_missing_and_what_to_do(service: Server) -> None:
    org = service.new_org()
    send_traces(service, org, 2, chats=2)
    client = service.client(org)
    create = {"gen_ai.operation.name": "create_agent", **CONVERSATION}
    export(client, sent("c", None, create, trace=9), service="[b]desk[/b]")
    settle(client)
    for columns in (80, 140):
        result = run("unattributed", "--org", org, "--data", service.data, columns=columns)
        for words in (
            *("shop", "no conversation", "app.chat c_0, c_1", "[b]desk[/b]", "no reply"),
            "applyrate attribute --from-attribute NAME",
        ):
            assert words in result.stdout
        assert max(map(len, result.stdout.splitlines())) <= columns


def test_no_traces_are_told_in_a_sentence(service: Server) -> None:
    result = run("unattributed", "--org", service.new_org(), "--data", service.data)
    assert "There are none." in result.stdout


@pytest.mark.parametrize("name", ["", "n" * 513, "a\0b"])
def test_an_attribute_has_a_sane_name(tmp_path: Path, name: str) -> None:
    result = run("attribute", "--from-attribute", name, "--data", tmp_path)
    assert result.exit_code == 2
    assert "--from-attribute" in result.stderr


@pytest.mark.parametrize("words", [["unattributed"], ["attribute", "--from-attribute", "x"]])
def test_a_folder_without_data_is_not_made(tmp_path: Path, words: list[str]) -> None:
    result = run(*words, "--data", tmp_path / "nothing")
    assert result.exit_code == 1
    assert "there is no data" in result.stderr
    assert not (tmp_path / "nothing").exists()

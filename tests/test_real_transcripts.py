"""200 real conversations give the figures that other code counted in them.

They lie beside the checkout, not in it.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.commands import answer, run_process
from tests.servers import Server, running_server

REAL = Path(__file__).parents[2] / "shared" / "real"
FILE = REAL / "airline-transcripts.jsonl"
ORG = "acme"

if not FILE.exists():
    MISSING = f"THE REAL TRANSCRIPTS ARE MISSING: no {FILE}; nothing here is tested"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(MISSING, pytrace=False)
    pytest.skip(MISSING, allow_module_level=True)

EXPECTED = json.loads((REAL / "expected-counts.json").read_text())
RESOURCES = [
    (resource_type, resource_id)
    for resource_type in ("action", "instruction")
    for resource_id in EXPECTED[resource_type]
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service on a folder into which the transcripts were imported twice."""
    data = tmp_path_factory.mktemp("real") / "data"
    for run in ("first", "second"):
        result = run_process(
            "import", FILE, "--format", "transcripts", "--org", ORG, "--data", data, "--json"
        )
        assert (result.returncode, result.stderr) == (0, b"")
        new = run == "first"
        assert json.loads(result.stdout) == {
            "lines": EXPECTED["conversations"],
            "accepted": EXPECTED["replies"] if new else 0,
            "duplicates": 0 if new else EXPECTED["replies"],
            "handed_off": EXPECTED["handed_off_conversations"],
            "rejected": [],
        }
    with running_server(data) as server:
        yield server


def check_figures(answered: dict[str, object], resource_type: str, resource_id: str) -> None:
    expected = EXPECTED[resource_type][resource_id]
    assert {name: answered[name] for name in expected if name in answered} == {
        name: expected[name] for name in expected if name in answered
    }
    assert expected.keys() - answered.keys() <= {"handoff_count"}


@pytest.mark.parametrize(("resource_type", "resource_id"), RESOURCES)
def test_the_api_answers_the_summary(server: Server, resource_type: str, resource_id: str) -> None:
    path = f"/resource-usage/{resource_type}/{quote(resource_id, safe='')}/usage-summary"
    answered = server.client(ORG).get(path).raise_for_status().json()
    check_figures(answered, resource_type, resource_id)


@pytest.mark.parametrize(("resource_type", "resource_id"), RESOURCES)
def test_the_command_line_answers_the_summary(
    server: Server, resource_type: str, resource_id: str
) -> None:
    answered = answer("summary", resource_type, resource_id, "--org", ORG, "--data", server.data)
    check_figures(answered, resource_type, resource_id)


@pytest.mark.parametrize("resource_type", ["action", "instruction", "knowledge"])
def test_the_list_holds_these_resources_and_no_other(server: Server, resource_type: str) -> None:
    page = server.client(ORG).get(f"/resource-usage/{resource_type}", params={"limit": 250})
    assert page.json() == answer(
        "list", resource_type, "--limit", 250, "--org", ORG, "--data", server.data
    )
    rows = {row["resource_id"]: row for row in page.json()["items"]}
    assert rows.keys() == EXPECTED.get(resource_type, {}).keys()
    for resource_id, row in rows.items():
        check_figures(row, resource_type, resource_id)
        assert "handoff_count" in row


@pytest.mark.parametrize("resource_id", EXPECTED["action"])
def test_an_action_was_used_in_as_many_conversations(server: Server, resource_id: str) -> None:
    path = f"/resource-usage/action/{resource_id}/conversations"
    page = server.client(ORG).get(path, params={"limit": 250}).json()
    assert len(page["items"]) == EXPECTED["action"][resource_id]["session_count"]
    assert page["next"] is None


def test_the_folder_checks_clean(server: Server) -> None:
    assert answer("check", "--data", server.data)["faults"] == []

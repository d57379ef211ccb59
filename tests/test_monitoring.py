"""What is written for those who watch the service is true: page, alerts and dashboard."""

import ast
import json
import re
import subprocess
from typing import Any

import msgspec
import pytest

from applyrate.observability.events import Event
from tests.monitoring import MONITORING, ROOT, families_of, promtool, samples_of, table_rows
from tests.servers import Server

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
ALERTS: list[dict[str, Any]] = [
    rule
    for group in msgspec.yaml.decode((MONITORING / "alerts.yml").read_bytes())["groups"]
    for rule in group["rules"]
]
DASHBOARD = json.loads((MONITORING / "grafana-dashboard.json").read_text(encoding="utf-8"))

METRIC = re.compile(r"\b(?:applyrate|process)_[a-z_]+\b")


def code(cell: str) -> list[str]:
    """What a cell of a table names."""
    return re.findall(r"`([^`]+)`", cell)


def queries() -> list[str]:
    """Every expression that the dashboard asks, its variables' included."""
    asked = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    return asked + [
        variable["query"]
        for variable in DASHBOARD["templating"]["list"]
        if variable["type"] == "query"
    ]


def test_every_metric_is_on_the_page_and_nothing_else(server: Server) -> None:
    rows = list(table_rows(PAGE, "Metrics"))
    documented = [code(row[0])[0] for row in rows]
    assert len(documented) == len(set(documented))
    assert set(documented) == families_of(server.client())


def test_the_labels_on_the_page_are_those_there_are(server: Server) -> None:
    client = server.client()
    client.get("/keys")
    text = client.get("/metrics").text
    for row in table_rows(PAGE, "Metrics"):
        (name,), labels = code(row[0]), set(code(row[1]))
        samples = re.findall(rf"^{name}(?:_bucket|_count|_sum)?(\{{.*\}})? ", text, re.MULTILINE)
        shown = {label for given in samples for label in re.findall(r'(\w+)="', given)}
        assert shown - {"le"} == labels, name


def test_every_event_is_on_the_page_with_its_level_and_nothing_else() -> None:
    rows = {code(row[0])[0]: row[1] for row in table_rows(PAGE, "Log")}
    levels = {10: "debug", 20: "info", 30: "warning", 40: "error"}
    expected = {event.label: levels[event.level] for event in Event}
    expected["library_message"] = "as it is"
    assert rows == expected


def test_the_fields_on_the_page_are_those_that_are_told() -> None:
    told = fields_told()
    for row in table_rows(PAGE, "Log"):
        (label,), fields = code(row[0]), set(code(row[2]))
        if label != "library_message":
            assert fields - {"traceback"} == told[label], label


def fields_told() -> dict[str, set[str]]:
    """The fields of each event that the code tells."""
    told: dict[str, set[str]] = {}
    for file in (ROOT / "src" / "applyrate").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Name(id="tell"), args=[ast.Attribute(attr=event), *_], keywords=given
                ):
                    told.setdefault(event.lower(), set()).update(str(one.arg) for one in given)
    return told


def test_every_alert_is_on_the_page_with_its_severity_and_nothing_else() -> None:
    rows = {code(row[0])[0]: row[1] for row in table_rows(PAGE, "Alerts")}
    assert rows == {rule["alert"]: rule["labels"]["severity"] for rule in ALERTS}


def test_alerts_and_dashboard_ask_for_what_is_exported(server: Server) -> None:
    client = server.client()
    client.get("/keys")
    known = samples_of(client)
    asked = {name for rule in ALERTS for name in METRIC.findall(rule["expr"])}
    asked |= {name for query in queries() for name in METRIC.findall(query)}
    assert asked
    assert asked - known == set()


def test_labels_that_alerts_pick_have_the_values_there_are(server: Server) -> None:
    text = server.client().get("/metrics").text
    for rule in ALERTS:
        for name, value in re.findall(r'(\w+)="(\w+)"', rule["expr"]):
            if name not in ("job", "status"):
                assert f'{name}="{value}"' in text, rule["alert"]


def test_promtool_takes_the_alerts() -> None:
    run_promtool("check", "rules", "alerts.yml")


def test_the_alerts_fire_when_they_should() -> None:
    run_promtool("test", "rules", str(ROOT / "tests" / "alerts_test.yml"))


def run_promtool(*arguments: str) -> None:
    ran = subprocess.run(
        [promtool(), *arguments], cwd=MONITORING, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("panel", DASHBOARD["panels"], ids=lambda panel: str(panel["title"]))
def test_a_panel_has_a_place_of_its_own_and_asks_something(panel: dict[str, Any]) -> None:
    place = panel["gridPos"]
    assert place["x"] + place["w"] <= 24
    assert panel["type"] == "row" or panel["targets"]
    for other in DASHBOARD["panels"]:
        if other is not panel:
            assert other["id"] != panel["id"]
            assert not overlap(place, other["gridPos"]), other["title"]


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )

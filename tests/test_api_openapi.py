"""The document: the published operation to the letter, and nothing that the service does not do."""

import os
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import yaml

from applyrate.api.app import ROUTES
from applyrate.api.openapi import describe

PATH = "/resource-usage/{resource_type}/{resource_id}/usage-summary"

PUBLISHED: dict[str, Any] = {
    "openapi": "3.1.0",
    "security": [{"bearerAuth": []}],
    "paths": {
        PATH: {
            "get": {
                "operationId": "getResourceUsageSummary",
                "parameters": [
                    {"schema": {}, "in": "query", "name": "from", "required": False},
                    {"schema": {}, "in": "query", "name": "to", "required": False},
                    {
                        "schema": {
                            "type": "string",
                            "enum": ["action", "instruction", "knowledge"],
                        },
                        "in": "path",
                        "name": "resource_type",
                        "required": True,
                    },
                    {
                        "schema": {"type": "string"},
                        "in": "path",
                        "name": "resource_id",
                        "required": True,
                    },
                ],
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {
                                "schema": {
                                    "$ref": "#/components/schemas/PublicResourceUsageSummaryDto"
                                }
                            }
                        },
                    },
                    "500": {
                        "content": {
                            "application/json": {
                                "schema": {"$ref": "#/components/schemas/ErrorDto"}
                            }
                        },
                    },
                },
            }
        }
    },
    "components": {
        "schemas": {
            "PublicResourceUsageSummaryDto": {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$id": "#/components/schemas/PublicResourceUsageSummaryDto",
                "type": "object",
                "properties": {
                    "session_count": {"type": "number"},
                    "applied_sessions": {"type": "number"},
                    "applied_replies": {"type": "number"},
                    "available_sessions": {"type": "number"},
                    "available_replies": {"type": "number"},
                    "first_used_at": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                    "last_used_at": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                },
                "required": [
                    "session_count",
                    "applied_sessions",
                    "applied_replies",
                    "available_sessions",
                    "available_replies",
                    "first_used_at",
                    "last_used_at",
                ],
                "additionalProperties": False,
            },
            "ErrorDto": {
                "type": "object",
                "properties": {
                    "statusCode": {"type": "integer"},
                    "message": {"type": "string"},
                    "error": {"type": "string"},
                },
            },
        },
        "securitySchemes": {
            "bearerAuth": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        },
    },
}
"""What was published of the operation, without prose: a promise wherever these tests run."""

CONTRACT = Path(__file__).parents[2] / "shared" / "contract" / "usage-summary.md"
PROSE = ("summary", "description", "title")


def without_prose(value: Any) -> Any:
    """A part of a document without what is only said to a reader."""
    if isinstance(value, dict):
        return {
            name: without_prose(inner)
            for name, inner in value.items()
            if not (name in PROSE and isinstance(inner, str))
        }
    return [without_prose(item) for item in value] if isinstance(value, list) else value


def published_part(document: dict[str, Any]) -> Any:
    """Of a whole document, what the published one speaks of."""
    schemas = document["components"]["schemas"]
    names = PUBLISHED["components"]["schemas"]
    return without_prose(
        {
            "openapi": document["openapi"],
            "security": document["security"],
            "paths": {PATH: document["paths"][PATH]},
            "components": {
                "schemas": {name: schemas[name] for name in names},
                "securitySchemes": document["components"]["securitySchemes"],
            },
        }
    )


@pytest.fixture(scope="module")
def document(server: Any) -> dict[str, Any]:
    """The document that a running service serves."""
    answer = httpx.get(f"{server.url}/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    document: dict[str, Any] = answer.json()
    return document


def test_the_published_operation_is_kept_to_the_letter(document: dict[str, Any]) -> None:
    assert published_part(document) == PUBLISHED
    required = document["components"]["schemas"]["PublicResourceUsageSummaryDto"]["required"]
    assert (
        required == PUBLISHED["components"]["schemas"]["PublicResourceUsageSummaryDto"]["required"]
    )


def test_what_these_tests_hold_as_published_is_what_was_published(
    document: dict[str, Any],
) -> None:
    if not CONTRACT.exists():
        told = f"{CONTRACT} is missing: the document could not be compared with its source"
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)
    block = re.search(r"````yaml[^\n]*\n(.*)\n````", CONTRACT.read_text(), re.DOTALL)
    assert block is not None
    published = yaml.decode(block[1])
    assert published_part(published) == PUBLISHED
    assert published_part(published) == published_part(document)


def test_every_route_is_described_and_nothing_else(document: dict[str, Any]) -> None:
    described = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    assert described == {
        ("GET", PATH),
        ("GET", "/resource-usage/{resource_type}"),
        ("GET", "/resource-usage/{resource_type}/{resource_id}/conversations"),
        ("GET", "/resource-usage/{resource_type}/{resource_id}/comparison"),
        ("GET", "/resource-usage/{resource_type}/{resource_id}/timeline"),
        ("GET", "/resource-usage/{resource_type}/{resource_id}/outcomes"),
        ("GET", "/resource-usage/{resource_type}/{resource_id}/stream"),
        ("GET", "/conversations/{session_id}/usage"),
        ("GET", "/insights/unused"),
        ("GET", "/export/usages"),
        ("GET", "/stream"),
        ("POST", "/replies"),
        ("POST", "/v1/traces"),
        ("GET", "/intake/unattributed"),
        ("GET", "/intake/rejected"),
        ("PUT", "/conversations/{session_id}"),
        ("DELETE", "/conversations/{session_id}"),
        ("GET", "/audit"),
        ("PUT", "/resources"),
        ("POST", "/keys"),
        ("GET", "/keys"),
        ("DELETE", "/keys/{key_id}"),
        ("GET", "/health/live"),
        ("GET", "/health/ready"),
        ("GET", "/metrics"),
    }
    hidden = {path for route in ROUTES for path in route.paths} - {
        re.sub(r"\}", ":str}", path) for _, path in described
    }
    assert hidden == {"/", "/docs", "/openapi.json"}


def test_every_reference_leads_somewhere_and_every_component_is_used(
    document: dict[str, Any],
) -> None:
    references = set(re.findall(r"'#/components/schemas/(\w+)'", str(without_ids(document))))
    assert references == set(document["components"]["schemas"])


def without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_ids(inner) for name, inner in value.items() if name != "$id"}
    return [without_ids(item) for item in value] if isinstance(value, list) else value


def test_every_operation_tells_its_parameters_statuses_and_an_example(
    document: dict[str, Any],
) -> None:
    identifiers = set()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            identifiers.add(operation["operationId"])
            assert operation["summary"]
            assert operation["description"]
            assert "500" in operation["responses"]
            if path == PATH:
                continue
            told = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
            assert told == set(re.findall(r"\{(\w+)\}", path))
            assert all(p["description"] for p in operation.get("parameters", ()))
            is_otlp = operation["operationId"] == "recordTraces"
            if operation.get("security") != []:
                limited = "503" if is_otlp else "429"
                assert {"401", "403", limited, "503"} <= set(operation["responses"])
            for status, response in operation["responses"].items():
                assert response["description"]
                contents = response.get("content", {})
                content = contents.get("application/json")
                if status.startswith("2") and status != "204":
                    # Formats beside JSON hold the same rows as its example; others have their own.
                    assert any(shown.get("example") for shown in contents.values())
                    assert content is None or content["example"]
                elif status != "204":
                    body = "Status" if is_otlp else "ErrorDto"
                    assert content["schema"] == {"$ref": f"#/components/schemas/{body}"}
            assert ("requestBody" in operation) == (method in ("post", "put"))
    assert len(identifiers) == sum(map(len, document["paths"].values()))


def test_constraints_in_the_document_are_those_that_are_checked(document: dict[str, Any]) -> None:
    (limit,) = [
        parameter
        for parameter in document["paths"]["/resource-usage/{resource_type}"]["get"]["parameters"]
        if parameter["name"] == "limit"
    ]
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 250, "default": 50}
    reply = document["components"]["schemas"]["ReplyDto"]
    assert reply["required"] == ["reply_id", "session_id", "replied_at"]
    assert reply["additionalProperties"] is False
    assert reply["properties"]["reply_id"]["maxLength"] == 512
    assert reply["properties"]["replied_at"]["format"] == "date-time"


def test_examples_in_the_document_are_taken_by_the_service(
    document: dict[str, Any], client: httpx.Client
) -> None:
    content = document["paths"]["/replies"]["post"]["requestBody"]["content"]
    answer = client.post("/replies", json=content["application/json"]["example"])
    assert answer.json() == {"accepted": 1, "duplicates": 0, "rejected": []}
    answer = client.post(
        "/replies",
        content=content["application/x-ndjson"]["example"],
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert answer.json() == {"accepted": 0, "duplicates": 1, "rejected": []}
    for path, method, status in (
        ("/conversations/{session_id}", "put", 204),
        ("/resources", "put", 200),
        ("/keys", "post", 201),
        ("/v1/traces", "post", 200),
    ):
        content = document["paths"][path][method]["requestBody"]["content"]["application/json"]
        answer = client.request(method, path.format(session_id="s"), json=content["example"])
        assert answer.status_code == status


def test_answers_have_the_fields_that_the_document_gives_them(
    document: dict[str, Any], client: httpx.Client
) -> None:
    schemas = document["components"]["schemas"]
    example = document["paths"]["/replies"]["post"]["requestBody"]["content"]["application/json"]
    client.post("/replies", json=example["example"])
    listed = client.get("/resource-usage/instruction").json()
    conversed = client.get("/resource-usage/action/lookup_order/conversations").json()
    window = {"from": "2026-03-01", "to": "2026-03-01"}
    rows = "/resource-usage/instruction"
    compared = client.get(rows, params={**window, "compare": "previous"}).json()
    timeline = client.get(f"{rows}/ins_refund/timeline").json()
    outcomes = client.get(f"{rows}/ins_refund/outcomes").json()
    conversation = client.get("/conversations/conv_7/usage").json()
    client.put("/resources", json={"type": "instruction", "id": "ins_fax"})
    unused = client.get("/insights/unused", params={"type": "instruction"}).json()
    ready = client.get("/health/ready").json()
    for answer, name in (
        (
            client.get("/resource-usage/action/x/usage-summary").json(),
            "PublicResourceUsageSummaryDto",
        ),
        (
            client.get(f"{rows}/ins_refund/comparison", params=window).json(),
            "ResourceUsageComparisonDto",
        ),
        (compared["previous_window"], "WindowDto"),
        (compared["items"][0]["previous"], "PublicResourceUsageSummaryDto"),
        (timeline, "ResourceTimelineDto"),
        (timeline["items"][0], "ResourceTimelineBucketDto"),
        (outcomes, "ResourceOutcomesDto"),
        (outcomes["applied"], "GroupOutcomesDto"),
        (outcomes["applied"]["handoff"], "ShareDto"),
        (outcomes["applied"]["csat"], "MeanScoreDto"),
        (outcomes["verdict"], "VerdictsDto"),
        (conversation, "ConversationDto"),
        (conversation["replies"][0], "ReplyUsageDto"),
        (unused, "UnusedListDto"),
        (unused["items"][0], "UnusedResourceDto"),
        (client.put("/resources", json=[]).json(), "CatalogueReceiptDto"),
        (listed, "PublicResourceUsageListDto"),
        (listed["items"][0], "PublicResourceUsageDto"),
        (conversed, "PublicResourceConversationListDto"),
        (conversed["items"][0], "PublicResourceConversationDto"),
        (client.post("/keys", json={"name": "x"}).json(), "IssuedKeyDto"),
        (client.get("/keys").json()["items"][0], "KeyDto"),
        (client.get("/audit").json(), "AuditListDto"),
        (client.get("/audit").json()["items"][0], "AuditEntryDto"),
        (client.post("/replies", json=[]).json(), "RecordingReceiptDto"),
        (client.get("/health/live").json(), "HealthDto"),
        (ready, "ReadinessReportDto"),
        (ready["parts"], "ReadyPartsDto"),
        (ready["parts"]["store"], "PartDto"),
    ):
        required = set(schemas[name]["required"])
        assert required == set(answer)
        optional = OPTIONAL.get(name, set())
        assert required | optional == set(schemas[name]["properties"])
        assert not required & optional


OPTIONAL = {
    "PublicResourceUsageDto": {"name", "previous"},
    "PublicResourceUsageListDto": {"previous_window"},
    "PartDto": {"problem"},
}
"""The fields that an answer has where they are known or asked for; any other it has always."""


def test_the_document_is_made_without_a_service() -> None:
    assert describe(ROUTES)["openapi"] == "3.1.0"

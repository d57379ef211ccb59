"""The lines that a reader pastes to record something, with the address that they came by."""

import shlex
from datetime import UTC, datetime


def exporter_lines(base_url: str) -> str:
    """The two variables of any OpenTelemetry exporter, for a shell with the key in ``KEY``."""
    return (
        f"export OTEL_EXPORTER_OTLP_ENDPOINT={shlex.quote(base_url)}\n"
        'export OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer $KEY"'
    )


def curl_lines(base_url: str) -> str:
    """A request that records one reply of now."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return (
        f"curl {shlex.quote(f'{base_url}/replies')} \\\n"
        '  -H "Authorization: Bearer $KEY" --json \'{\n'
        '  "reply_id": "r_1", "session_id": "conv_1",\n'
        f'  "replied_at": "{now}",\n'
        '  "available": {"instruction": ["ins_refund", "ins_tone"]},\n'
        '  "applied": {"instruction": ["ins_refund"],\n'
        '              "action": ["lookup_order"]}\n'
        "}'"
    )

"""The table of traces over HTTP."""

from bench.tables import NOTHING, Part, Table, significant, times
from bench.traces import EXPORTERS, SPANS_A_REQUEST, Tracing

SPANS_A_SECOND = 20_000


def tell_traces(tracing: Tracing) -> Part:
    """The table."""
    ours, empty = tracing.ours, tracing.empty
    counted = ours.spans / tracing.counted_seconds

    def acknowledged(share: float) -> list[str]:
        cells = (1000 * traced.percentile(share) for traced in (ours, empty))
        return [*map(significant, cells), NOTHING, NOTHING]

    table = Table(
        "Traces over HTTP",
        ("durable, deduplicated", "Applyrate", "empty handler", "ratio", "asked for"),
        [
            [
                "spans a second, acknowledged",
                *(f"{traced.rate:,.0f}" for traced in (ours, empty)),
                times(ours.rate / empty.rate),
                f"{SPANS_A_SECOND:,}",
            ],
            [
                "spans a second until every reply of them is counted",
                *(f"{counted:,.0f}", NOTHING, NOTHING, NOTHING),
            ],
            ["acknowledgement, p50, ms", *acknowledged(0.5)],
            ["acknowledgement, p99, ms", *acknowledged(0.99)],
        ],
        f"{EXPORTERS} exporters at once, {SPANS_A_REQUEST} spans a request, {ours.spans:,} spans; "
        f"{tracing.bytes_a_span:,.0f} bytes a span of protobuf, {tracing.packed_bytes_a_span:,.0f} "
        "of it packed with gzip. The empty handler is the same server and framework, reads the "
        "same bodies and does nothing, in turns; the exporters run on the same cores.",
    )
    return Part([table])

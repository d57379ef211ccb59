"""Requests are shown to Prometheus as its own library would show them."""

import random

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.openmetrics import exposition

from applyrate.observability.request_counts import DURATION_SECONDS, RequestCounts


def test_requests_are_counted_and_timed_as_the_library_does() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counts = RequestCounts()
    ours.register(counts)
    requests = Counter(
        "applyrate_http_requests",
        "Requests answered.",
        ("method", "route", "status"),
        registry=theirs,
    )
    durations = Histogram(
        "applyrate_http_request_duration_seconds",
        "From a request's head to the head of its answer.",
        ("method", "route"),
        buckets=DURATION_SECONDS,
        registry=theirs,
    )
    chance = random.Random(3)  # noqa: S311 (no secret)
    on_a_bound = [*DURATION_SECONDS, 0.0, 99.0]
    for _ in range(500):
        method, route = chance.choice(["GET", "POST"]), chance.choice(["/a/{id}", "unmatched"])
        status, seconds = chance.choice([200, 404]), chance.choice([*on_a_bound, chance.random()])
        counts.count(method, route, status, seconds)
        requests.labels(method, route, status).inc()
        durations.labels(method, route).observe(seconds)
    for encode in (generate_latest, exposition.generate_latest):
        shown, expected = (told(encode(registry)) for registry in (ours, theirs))
        assert shown.keys() == expected.keys()
        assert all(abs(shown[name] - value) < 1e-9 for name, value in expected.items())


def told(text: bytes) -> dict[str, float]:
    """What is shown, by name and labels."""
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in lines
        if "_created" not in line
    }

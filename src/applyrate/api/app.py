"""The ASGI application: every route, and what they work with."""

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Final, cast

from litestar import Litestar
from litestar.datastructures import State

from applyrate.answers import PartStatus
from applyrate.api import (
    audit,
    catalogue,
    conversation_usage,
    docs,
    erasing,
    export,
    health,
    insights,
    intake,
    keys,
    metrics,
    outcomes,
    recording,
    resource_usage,
    streams,
    timeline,
    traces,
)
from applyrate.api.admission import admit
from applyrate.api.auth import Authenticator
from applyrate.api.edge import AsgiApp, Edge
from applyrate.api.event_streams import Streams
from applyrate.api.failures import answer_failure
from applyrate.api.kept import Kept
from applyrate.api.key_uses import KeyUses
from applyrate.api.known_keys import KnownKeys
from applyrate.api.limits import RateLimits
from applyrate.api.observed import Observed
from applyrate.api.openapi import describe, operation_of
from applyrate.api.readiness import Readiness
from applyrate.api.request import SERVICES, Request, Services
from applyrate.dashboard.routes import dashboard
from applyrate.intake.deliveries import Deliveries
from applyrate.intake.group_commit import GroupCommit
from applyrate.intake.housekeeping import Housekeeping
from applyrate.intake.journal import Journal
from applyrate.intake.traces import Traces
from applyrate.observability.gauges import Gauges
from applyrate.observability.metrics import Metrics
from applyrate.observability.service_observer import ServiceObserver
from applyrate.observability.traced_store import trace_questions
from applyrate.observability.tracing import Tracing, start_tracing
from applyrate.settings import Settings
from applyrate.store import Store

ROUTES: Final = (
    resource_usage.get_summary,
    resource_usage.compare,
    resource_usage.list_resources,
    resource_usage.list_conversations,
    timeline.get_timeline,
    outcomes.get_outcomes,
    conversation_usage.get_conversation_usage,
    export.export_usages,
    insights.list_unused,
    streams.stream_resource,
    streams.stream_all,
    recording.record_replies,
    recording.set_conversation,
    erasing.erase_conversation,
    catalogue.set_resources,
    traces.record_traces,
    intake.list_unattributed,
    intake.list_rejected,
    keys.create_key,
    keys.list_keys,
    keys.revoke_key,
    audit.list_audit,
    health.get_liveness,
    health.get_readiness,
    metrics.get_metrics,
    docs.get_document,
    docs.get_page,
    docs.get_front,
)

_READER_THREADS: Final = 4
_MOST_SUMMARIES_KEPT: Final = 1_000


def create_app(settings: Settings, store: Store, stopping: asyncio.Event | None = None) -> Edge:
    """The service on a store, which stays the caller's to close.

    Runs under any ASGI 3 server that gives ``raw_path`` and the lifespan events; on its end it
    finishes what it accepted. Streams end when ``stopping`` is set, which a server does that waits
    for requests under way.
    """
    seen, tracing = Metrics(), start_tracing(os.environ)
    if tracing:
        store = trace_questions(store, tracing)
    observer = ServiceObserver(seen, tracing)
    readers = ThreadPoolExecutor(_READER_THREADS, thread_name_prefix="read")
    open_streams = Streams(settings, store, readers)
    commits = GroupCommit(store, recorded=open_streams.feeds.wake, observer=observer)
    spans = Traces(settings, store, commits, observer)
    deliveries = (
        Deliveries(settings, store, spans.inbox, open_streams.feeds.wake, observer)
        if store.is_remote
        else None
    )
    journal = Journal(spans.inbox)
    known_keys, key_uses = KnownKeys(store), KeyUses(store, commits)
    services = Services(
        settings=settings,
        store=store,
        commits=commits,
        recorder=deliveries or commits,
        traces=spans,
        housekeeping=Housekeeping(store, commits, spans, journal, open_streams.feeds.wake),
        journal=journal,
        readers=readers,
        cursor_secret=store.cursor_secret(),
        authenticator=Authenticator(settings, known_keys, key_uses),
        known_keys=known_keys,
        key_uses=key_uses,
        summaries=Kept(store, _MOST_SUMMARIES_KEPT),
        limits=RateLimits(settings, seen),
        streams=open_streams,
        metrics=seen,
        readiness=Readiness(settings, store, commits, spans, readers),
        document=describe(ROUTES),
        operations={operation.operation_id: operation for operation in map(operation_of, ROUTES)},
    )
    app = Litestar(
        route_handlers=[*ROUTES, dashboard()],
        request_class=Request,
        before_request=admit,  # type: ignore[arg-type]  # request_class makes every request ours
        exception_handlers={Exception: answer_failure},
        state=State({SERVICES: services}),
        lifespan=[lambda _: _running(services, deliveries, tracing, stopping or asyncio.Event())],
        openapi_config=None,  # it cannot say what the published operation does; see openapi.py
        logging_config=None,
    )
    _watch_state(services)
    edge = Edge(Observed(cast("AsgiApp", app), seen, tracing), settings)
    seen.under_way.set_function(lambda: edge.under_way)
    return edge


def _watch_state(services: Services) -> None:
    """Let the metrics have the state of the data, too."""
    services.metrics.registry.register(
        Gauges(
            services.settings.data_path,
            services.store,
            services.traces.inbox,
            max_undelivered=services.settings.inbox_max_replies,
            open_streams=lambda: services.streams.open_count,
            ready_parts=lambda: {
                name: part.status is not PartStatus.FAILING
                for name, part in services.readiness.parts.items()
            },
        )
    )


@asynccontextmanager
async def _running(
    services: Services,
    deliveries: Deliveries | None,
    tracing: Tracing | None,
    stopping: asyncio.Event,
) -> AsyncIterator[None]:
    tasks = [
        asyncio.create_task(services.key_uses.write_every_minute()),
        asyncio.create_task(services.traces.run()),
        asyncio.create_task(services.housekeeping.run()),
        asyncio.create_task(services.journal.run()),
        asyncio.create_task(services.streams.feeds.watch()),
        asyncio.create_task(services.streams.check()),
        asyncio.create_task(services.streams.end_when(stopping)),
        *([asyncio.create_task(deliveries.run())] if deliveries else []),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await services.key_uses.try_to_write()
        await services.journal.close()
        if deliveries:
            await deliveries.close()
        await services.traces.close()
        await services.commits.close()
        await services.limits.close()
        services.known_keys.close()
        services.readers.shutdown(wait=not services.store.is_remote)
        if tracing:
            await asyncio.to_thread(tracing.close)

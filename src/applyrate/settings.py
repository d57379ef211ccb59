"""Every setting: its name, default and help. The environment variable is ``APPLYRATE_<NAME>``."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from applyrate.errors import InvalidInput
from applyrate.rules import broken_rule
from applyrate.store.limits import QueryLimits
from applyrate.usage import FOREVER, Keeping, RetentionDays

PREFIX = "APPLYRATE_"


Names = tuple[str, ...]
"""Names that are given in one text, separated by commas."""


class Settings(Struct, frozen=True, kw_only=True):
    """The service's settings, in the order in which the documentation lists them."""

    data: Annotated[str, Meta(min_length=1, description="The folder that holds the data.")] = (
        "./applyrate-data"
    )
    store: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(
            description="The address of a ClickHouse node or cluster that holds the usages;"
            " without one they are in the data folder."
        ),
    ] = None
    max_query_seconds: Annotated[
        float,
        Meta(ge=0, description="How long one query may take in ClickHouse; 0 for no limit."),
    ] = 30
    max_query_rows: Annotated[
        int,
        Meta(ge=0, description="How many rows one query may read in ClickHouse; 0 for no limit."),
    ] = 20_000_000_000
    host: Annotated[str, Meta(min_length=1, description="The address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="The port to listen on; 0 takes a free one.")
    ] = 8600
    standard_limit: Annotated[
        int, Meta(ge=0, description="Requests a minute and key, most routes; 0 for no limit.")
    ] = 100
    streaming_limit: Annotated[
        int,
        Meta(
            ge=0,
            description="Requests a minute and key, `POST /replies`, `POST /v1/traces` and opening"
            " a stream; 0 for no limit.",
        ),
    ] = 1000
    redis: Annotated[
        Annotated[str, Meta(pattern="^rediss?://")] | None,
        Meta(
            description="The Redis in which several services count these limits together:"
            " `redis://` or `rediss://`."
        ),
    ] = None
    max_streams: Annotated[
        int, Meta(ge=0, description="How many streams may be open at once in all.")
    ] = 2_000
    max_key_streams: Annotated[
        int, Meta(ge=0, description="How many streams one key may have open at once.")
    ] = 250
    max_body_bytes: Annotated[
        int, Meta(ge=1, description="The longest body but NDJSON, after decompression.")
    ] = 32 * 1024 * 1024
    max_line_bytes: Annotated[int, Meta(ge=1, description="The longest line of NDJSON.")] = (
        1024 * 1024
    )
    max_form_bytes: Annotated[int, Meta(ge=1, description="The longest form of the dashboard.")] = (
        16 * 1024
    )
    max_inflation: Annotated[
        int,
        Meta(ge=1, description="How many times its own length a body may be once inflated."),
    ] = 250
    max_array_items: Annotated[
        int, Meta(ge=1, description="The most items in the array that a body is.")
    ] = 100_000
    max_reply_items: Annotated[
        int, Meta(ge=1, description="The most items in each list of a reply.")
    ] = 10_000
    max_held_bytes: Annotated[
        int,
        Meta(ge=1, description="What bodies may take in memory together; beyond it, 503."),
    ] = 256 * 1024 * 1024
    max_pause_seconds: Annotated[
        float, Meta(gt=0, description="How long a body may let the service wait for its next byte.")
    ] = 30
    min_body_rate: Annotated[
        int,
        Meta(
            ge=0,
            description="How many bytes a second a body comes at, at least, once it was waited for"
            " as long as one pause may be; 0 for no such rule.",
        ),
    ] = 256
    max_url_bytes: Annotated[
        int, Meta(ge=1, description="The longest path with its query, as it is sent.")
    ] = 16 * 1024
    max_headers: Annotated[
        int, Meta(ge=1, le=100, description="The most header fields in a request.")
    ] = 64
    max_header_bytes: Annotated[
        int, Meta(ge=1, description="How long the header fields of a request may be together.")
    ] = 32 * 1024
    max_idle_seconds: Annotated[
        float,
        Meta(
            ge=0.001,
            description="How long a connection stays open that sends nothing, or not the whole"
            " head of a request.",
        ),
    ] = 75
    max_connections: Annotated[
        int,
        Meta(
            ge=1,
            description="How many connections may be open at once; others wait for their turn.",
        ),
    ] = 16_384
    stop_seconds: Annotated[
        float,
        Meta(ge=0, description="How long requests that are under way may take at the end."),
    ] = 7
    max_future_seconds: Annotated[
        int,
        Meta(ge=0, description="How far ahead of the service's clock the time of a reply may be."),
    ] = 86_400
    retention_days: Annotated[
        RetentionDays,
        Meta(
            description="How many days replies are kept, unless their organization says otherwise;"
            " 0 for ever."
        ),
    ] = FOREVER
    store_messages: Annotated[
        bool,
        Meta(description="Whether the texts of messages are stored and shown."),
    ] = True
    jwt_secret: Annotated[
        Annotated[str, Meta(min_length=32)] | None,
        Meta(description="The secret that HS256 tokens are signed with."),
    ] = None
    jwt_jwks: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(description="The JWKS (a file or a URL) of RS256, ES256 and EdDSA tokens."),
    ] = None
    jwt_issuer: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(description="The `iss` that a token must have."),
    ] = None
    jwt_audience: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(description="The `aud` that a token must have."),
    ] = None

    trace_quiet_seconds: Annotated[
        float,
        Meta(
            ge=0,
            description="A trace without its root counts as a reply after so long without"
            " a new span.",
        ),
    ] = 30
    trace_late_seconds: Annotated[
        float,
        Meta(ge=0, description="How long the spans of a recorded reply are kept for late ones."),
    ] = 3600
    inbox_max_spans: Annotated[
        int,
        Meta(
            ge=1,
            description="How many spans the inbox holds; beyond it, `POST /v1/traces` answers 503.",
        ),
    ] = 1_000_000
    inbox_max_replies: Annotated[
        int,
        Meta(
            ge=1,
            description="How many replies the inbox holds that a store on other machines does not"
            " have yet; beyond it, `POST /replies` answers 503.",
        ),
    ] = 5_000_000
    span_processes: Annotated[
        int,
        Meta(ge=0, description="Processes that decode long exports of spans beside the service."),
    ] = 1
    conversation_attributes: Annotated[
        Names,
        Meta(
            description="The span or resource attributes that may hold the conversation's id, the"
            " first one found wins; separated by commas."
        ),
    ] = (
        "applyrate.session_id",
        "gen_ai.conversation.id",
        "session.id",
        "langfuse.session.id",
        "traceloop.association.properties.session_id",
        "traceloop.association.properties.thread_id",
        "ai.telemetry.metadata.sessionId",
        "ai.telemetry.metadata.session_id",
        "ai.telemetry.metadata.conversationId",
        "ai.telemetry.metadata.threadId",
        "ai.telemetry.metadata.chatId",
        "ai.settings.context.sessionId",
        "ai.settings.context.session_id",
        "ai.settings.context.conversationId",
        "ai.settings.context.threadId",
        "ai.settings.context.chatId",
    )
    exclude_attributes: Annotated[
        Names,
        Meta(
            description="Traces with one of these span or resource attributes are counted as"
            " excluded and nothing else; `NAME` or `NAME=VALUE`, separated by commas."
        ),
    ] = ()
    citation_pattern: Annotated[
        str,
        Meta(
            description="The regular expression that finds cited ids in a reply's text, in its"
            " first group; empty for none."
        ),
    ] = r"\[([^\[\]\s]{1,512})\]"
    handoff_actions: Annotated[
        Names,
        Meta(
            description="Actions whose invocation in a trace hands the conversation off;"
            " separated by commas."
        ),
    ] = ("transfer_to_human_agents", "escalate_to_human")

    metrics: Annotated[
        Literal["open", "key", "off"],
        Meta(
            description="Who may read `GET /metrics`: `open` for everyone, `key` for a key with the"
            " scope `metrics:read`, `off` for nobody."
        ),
    ] = "key"
    min_free_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="With less room on the data folder's disk, `GET /health/ready` answers"
            " 503.",
        ),
    ] = 256 * 1024 * 1024
    log_format: Annotated[
        Literal["text", "json"],
        Meta(description="How a line of the log is written: `text` or `json`."),
    ] = "text"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="The least that is logged: `debug`, `info`, `warning` or `error`."),
    ] = "warning"
    access_log: Annotated[
        Literal["on", "off"],
        Meta(description="Whether each request is logged, whatever the level: `on` or `off`."),
    ] = "off"

    @property
    def keeping(self) -> Keeping:
        """What a store is to keep."""
        return Keeping(self.store_messages, self.retention_days)

    @property
    def query_limits(self) -> QueryLimits:
        """What a query may cost a cluster."""
        return QueryLimits(self.max_query_seconds, self.max_query_rows)

    @property
    def data_path(self) -> Path:
        """The data folder."""
        return Path(self.data)


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of an environment. Raises InvalidInput that names the variable and the rule."""
    given: dict[str, Any] = {}
    for field in msgspec.structs.fields(Settings):
        variable = PREFIX + field.name.upper()
        if variable not in environ:
            continue
        try:
            given[field.name] = _convert(environ[variable], field)
        except msgspec.ValidationError as error:
            choices = _choices(field)
            rule = f"is not one of {', '.join(choices)}" if choices else broken_rule(str(error))
            raise InvalidInput(f"{variable}: {environ[variable]!r} {rule}") from None
    return Settings(**given)


def _convert(text: str, field: msgspec.structs.FieldInfo) -> object:
    value = _split(text) if isinstance(field.default, tuple) else text
    return msgspec.convert(value, field.type, strict=False)


def _choices(field: msgspec.structs.FieldInfo) -> tuple[str, ...]:
    """The values of which a setting takes one, where it does."""
    kind = get_args(field.type)[0]
    return get_args(kind) if get_origin(kind) is Literal else ()


def _split(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]

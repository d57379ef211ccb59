-- The spans that were acknowledged, until the replies that they tell of are recorded, and a while
-- longer for late ones. Times are microseconds since 1970-01-01T00:00:00Z.

-- state: what is to become of the trace.
--   ready         its top is there: derive its replies now
--   waiting       derive them once no new span has come for the quiet time
--   derived       they are recorded; the spans are kept for late ones
--   irrelevant    nothing in it is an agent's; forgotten after the quiet time
--   excluded      it is test traffic; its spans are gone
--   unattributed  it names no conversation; see finding
--   failed        it could not be recorded; see finding
-- span_count: how many spans of it are kept, and 1 for an excluded one. changed_at: when the last
-- new span came. pins: which span was recorded as which reply, as a msgpack map.
-- Ids grow in order of arrival, so that the spans of new traces lie side by side, at the end.
CREATE TABLE trace (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    org        TEXT NOT NULL,
    trace_id   TEXT NOT NULL,
    state      TEXT NOT NULL,
    has_top    INTEGER NOT NULL,
    span_count INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    pins       BLOB,
    UNIQUE (org, trace_id)
);
-- What is due, and what is the oldest of those that may go; and how many an organization has.
CREATE INDEX trace_state ON trace (state, changed_at, org);

-- observed: an ObservedSpan as msgpack.
CREATE TABLE span (
    trace    INTEGER NOT NULL,
    span_id  TEXT NOT NULL,
    observed BLOB NOT NULL,
    PRIMARY KEY (trace, span_id)
) WITHOUT ROWID;

-- What a person is told of a trace that is unattributed or failed. missing and dialects are names
-- separated by spaces; attributes is a msgpack map of those that might hold the conversation.
CREATE TABLE finding (
    trace      INTEGER PRIMARY KEY,
    org        TEXT NOT NULL,
    service    TEXT NOT NULL,
    missing    TEXT NOT NULL,
    problem    TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL,
    dialects   TEXT NOT NULL,
    attributes BLOB NOT NULL
);
-- Counts the findings of a service, and finds the newest, without reading the others.
CREATE INDEX finding_service ON finding (org, service, missing, problem, trace, started_at, ended_at);

-- The attributes that an organization's conversations are read from beside those of the settings.
CREATE TABLE mapping (
    id        INTEGER PRIMARY KEY,
    org       TEXT NOT NULL,
    attribute TEXT NOT NULL,
    UNIQUE (org, attribute)
);

-- What arrived and was taken, by hour since 1970: replies of POST /replies and of imports, spans by
-- service. What comes again arrives again.
CREATE TABLE arrival (
    org           TEXT NOT NULL,
    hour          INTEGER NOT NULL,
    source        TEXT NOT NULL,
    service       TEXT NOT NULL,
    arrived_count INTEGER NOT NULL,
    last_at       INTEGER NOT NULL,
    PRIMARY KEY (org, hour, source, service)
) WITHOUT ROWID;

-- How much was rejected and why, by day since 1970.
CREATE TABLE rejected_day (
    org            TEXT NOT NULL,
    day            INTEGER NOT NULL,
    source         TEXT NOT NULL,
    reason         TEXT NOT NULL,
    rejected_count INTEGER NOT NULL,
    last_at        INTEGER NOT NULL,
    PRIMARY KEY (org, day, source, reason)
) WITHOUT ROWID;

-- The newest that was rejected; place is the field index of the answers, which SQL has a use for.
CREATE TABLE rejected (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    org         TEXT NOT NULL,
    rejected_at INTEGER NOT NULL,
    source      TEXT NOT NULL,
    reason      TEXT NOT NULL,
    message     TEXT NOT NULL,
    place       INTEGER,
    line        INTEGER,
    reply_id    TEXT,
    trace_id    TEXT
);
CREATE INDEX rejected_newest ON rejected (org, id);

-- What was acknowledged and is still to be delivered, where the store is on other machines: in a
-- row what was sent together, ids in order of arrival. item: replies, or the facts of a
-- conversation, as msgpack. reply_count: how many replies it has; 1 for facts.
CREATE TABLE undelivered (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    org         TEXT NOT NULL,
    item        BLOB NOT NULL,
    reply_count INTEGER NOT NULL,
    arrived_at  INTEGER NOT NULL
);

-- What of it the store refused for good, for a person to decide: in a row one reply, or the facts
-- of one conversation, which have no reply_id; problem says why.
CREATE TABLE set_aside (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    org          TEXT NOT NULL,
    session_id   TEXT NOT NULL,
    reply_id     TEXT,
    item         BLOB NOT NULL,
    problem      TEXT NOT NULL,
    set_aside_at INTEGER NOT NULL
);

-- The sums of all span_counts, and of the reply_counts of what is undelivered: one row.
CREATE TABLE kept (
    span_count  INTEGER NOT NULL,
    reply_count INTEGER NOT NULL
);
INSERT INTO kept VALUES (0, 0);

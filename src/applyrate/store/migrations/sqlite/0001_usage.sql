-- Usages as bitmaps. Every id below carries its organization: org << 32 | a 32-bit number.
-- The numbers of conversations and replies are dense ordinals, given in order of arrival, and it
-- is ordinals that the bitmaps hold: dense ordinals of one organization are what Roaring packs best.
-- Times are microseconds since 1970-01-01T00:00:00Z; a day is a time divided by 86,400,000,000.

CREATE TABLE organization (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

-- Facts set for the conversation itself win over those that came with replies, whatever order they
-- arrive in: of the latter the newest ticket and message are kept, and the earliest handoff.
-- handoff_is_set: handed_off_at was set, and counts also where it is null. known_at: when the row was
-- made; the age of a conversation without a reply.
CREATE TABLE conversation (
    id                     INTEGER PRIMARY KEY,
    org                    INTEGER NOT NULL,
    session_id             TEXT NOT NULL,
    ticket_number          INTEGER,
    last_message           TEXT,
    handed_off_at          INTEGER,
    handoff_is_set         INTEGER NOT NULL DEFAULT 0,
    status                 TEXT,
    csat                   REAL,
    reply_ticket_number    INTEGER,
    reply_ticket_number_at INTEGER,
    reply_last_message     TEXT,
    reply_last_message_at  INTEGER,
    reply_handed_off_at    INTEGER,
    known_at               INTEGER NOT NULL DEFAULT (strftime('%s', 'now') * 1000000)
);

CREATE TABLE reply (
    id           INTEGER PRIMARY KEY,
    org          INTEGER NOT NULL,
    reply_id     TEXT NOT NULL,
    conversation INTEGER NOT NULL,
    replied_at   INTEGER NOT NULL
);
-- Which replies lie in a part of a day, and their conversations, without touching the table.
CREATE INDEX reply_time ON reply (org, replied_at, conversation);
CREATE INDEX reply_conversation ON reply (conversation);

-- Where a session_id or a reply_id is looked up: a digest of 48 bits of each, keyed with a key of this
-- file's own, and the id. No two conversations or replies of an organization have the same name, but
-- two names may have the same digest. Digests come in no order: a commit of 1,000 replies would write
-- 1,000 pages of an index of millions. So new ones are kept by themselves, in pages of which each
-- commit writes most anyway, and move on in their order, neighbours together.
CREATE TABLE digest_key (key BLOB NOT NULL);
INSERT INTO digest_key VALUES (randomblob(32));

CREATE TABLE conversation_digest (
    digest INTEGER NOT NULL,
    id     INTEGER NOT NULL,
    PRIMARY KEY (digest, id)
) WITHOUT ROWID;
CREATE TABLE recent_conversation_digest (
    digest INTEGER NOT NULL,
    id     INTEGER NOT NULL,
    PRIMARY KEY (digest, id)
) WITHOUT ROWID;
CREATE TABLE reply_digest (
    digest INTEGER NOT NULL,
    id     INTEGER NOT NULL,
    PRIMARY KEY (digest, id)
) WITHOUT ROWID;
CREATE TABLE recent_reply_digest (
    digest INTEGER NOT NULL,
    id     INTEGER NOT NULL,
    PRIMARY KEY (digest, id)
) WITHOUT ROWID;

-- How many digests are recent, and the one from which on the next ones move.
CREATE TABLE recent_digests (
    of     TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    next   INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO recent_digests VALUES ('conversation', 0, 0), ('reply', 0, 0);

-- The two high bits of a resource's number are its type, so that the resources of one type of one
-- organization are one range of ids. A row is made with the first usage, or by the catalogue;
-- name is the first one that came after the first usage, and catalogue_name wins over it.
-- catalogued: the catalogue named it. The columns after that are what the catalogue says.
CREATE TABLE resource (
    id             INTEGER PRIMARY KEY,
    org            INTEGER NOT NULL,
    type           TEXT NOT NULL,
    resource_id    TEXT NOT NULL,
    name           TEXT,
    catalogued     INTEGER NOT NULL DEFAULT 0,
    catalogue_name TEXT,
    version        TEXT,
    url            TEXT,
    published_at   INTEGER,
    keep           INTEGER NOT NULL DEFAULT 0,
    UNIQUE (org, type, resource_id)
);
-- What is kept on purpose is little, and asked for with everything that is unused.
CREATE INDEX resource_kept ON resource (id) WHERE keep;

-- The versions of resources that were published, each since when.
CREATE TABLE published_version (
    resource     INTEGER NOT NULL,
    version      TEXT NOT NULL,
    published_at INTEGER NOT NULL,
    PRIMARY KEY (resource, version)
) WITHOUT ROWID;

-- The types of resource whose application some sender was able to report.
CREATE TABLE reportable (
    org  INTEGER NOT NULL,
    type TEXT NOT NULL,
    PRIMARY KEY (org, type)
) WITHOUT ROWID;

-- The facts: who used what on a UTC day, cut by blocks of 65,536 reply ordinals (one container of a
-- bitmap) so that a commit rewrites no more than it must.
-- Ordered by day first: a commit touches most resources of one day, and they lie side by side. A
-- question about one resource pays for that with one seek a day.
-- kind: 0 available, 1 applied. usage_count: the replies, and for an action each invocation.
CREATE TABLE usage_day (
    day           INTEGER NOT NULL,
    kind          INTEGER NOT NULL,
    resource      INTEGER NOT NULL,
    block         INTEGER NOT NULL,
    usage_count   INTEGER NOT NULL,
    first_at      INTEGER NOT NULL,
    last_at       INTEGER NOT NULL,
    conversations BLOB NOT NULL,
    replies       BLOB NOT NULL,
    PRIMARY KEY (day, kind, resource, block)
) WITHOUT ROWID;

-- How many commits have recorded usages: a process that keeps decoded days sees others' commits by it.
CREATE TABLE usage_version (number INTEGER NOT NULL);
INSERT INTO usage_version VALUES (0);

-- The sums of all time, a function of the table above, written with it. handoff_count is kept for
-- applied usages: those of their conversations that are in handed_off. version: the number that
-- usage_version had after the last commit that changed the usages.
CREATE TABLE usage_total (
    kind               INTEGER NOT NULL,
    resource           INTEGER NOT NULL,
    conversation_count INTEGER NOT NULL,
    handoff_count      INTEGER NOT NULL,
    usage_count        INTEGER NOT NULL,
    first_at           INTEGER NOT NULL,
    last_at            INTEGER NOT NULL,
    version            INTEGER NOT NULL,
    PRIMARY KEY (kind, resource)
) WITHOUT ROWID;

-- What the rows of a day add up to for all resources of a type: usages by quarter of an hour, since
-- a day of any time zone starts at one (96 numbers of 32 bits, little endian). version is that of the
-- newest commit that changed any of those rows: what was read of them holds until it is another.
CREATE TABLE type_day (
    org          INTEGER NOT NULL,
    type         TEXT NOT NULL,
    kind         INTEGER NOT NULL,
    day          INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    usage_counts BLOB NOT NULL,
    PRIMARY KEY (org, type, kind, day)
) WITHOUT ROWID;

-- The conversations with a reply on a UTC day, cut by blocks of 65,536 conversation ordinals.
CREATE TABLE conversation_day (
    org           INTEGER NOT NULL,
    day           INTEGER NOT NULL,
    block         INTEGER NOT NULL,
    conversations BLOB NOT NULL,
    PRIMARY KEY (org, day, block)
) WITHOUT ROWID;

-- The invocations of an action in a reply, unless there is but one and it has no call id (most have):
-- call is the source's call id (text) or the place among the reply's invocations (integer).
CREATE TABLE invocation (
    resource INTEGER NOT NULL,
    reply    INTEGER NOT NULL,
    call     NOT NULL,
    PRIMARY KEY (resource, reply, call)
) WITHOUT ROWID;

-- The conversations that were handed off, cut by blocks of 65,536 conversation ordinals.
CREATE TABLE handed_off (
    org           INTEGER NOT NULL,
    block         INTEGER NOT NULL,
    conversations BLOB NOT NULL,
    PRIMARY KEY (org, block)
) WITHOUT ROWID;

-- The conversations that ended in the same way, cut in the same blocks: for each status (in lower
-- case) and each satisfaction score. The scores in use are few, and so are the statuses.
CREATE TABLE outcome (
    org           INTEGER NOT NULL,
    fact          TEXT NOT NULL,
    value         NOT NULL,
    block         INTEGER NOT NULL,
    conversations BLOB NOT NULL,
    PRIMARY KEY (org, fact, value, block)
) WITHOUT ROWID;

-- What the cursors of lists are signed with: one row, made with the file, so that every process that
-- serves it takes the cursors of the others.
CREATE TABLE cursor_secret (secret BLOB NOT NULL);
INSERT INTO cursor_secret VALUES (randomblob(32));

CREATE TABLE api_key (
    digest       BLOB PRIMARY KEY,
    key_id       TEXT NOT NULL UNIQUE,
    org          TEXT NOT NULL,
    name         TEXT NOT NULL,
    hint         TEXT NOT NULL,
    scopes       TEXT,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    expires_at   INTEGER,
    revoked_at   INTEGER
) WITHOUT ROWID;
CREATE INDEX api_key_org ON api_key (org, created_at, key_id);

-- Erased conversations: a keyed BLAKE2b of each session_id, and nothing else of it, so that what is
-- sent again is known.
CREATE TABLE tombstone (
    org       INTEGER NOT NULL,
    digest    BLOB NOT NULL,
    erased_at INTEGER NOT NULL,
    PRIMARY KEY (org, digest)
) WITHOUT ROWID;

-- Conversations that have their tombstone, and replies that are still to go: many go in steps.
CREATE TABLE erasing (conversation INTEGER PRIMARY KEY);

-- Erasures that the tables above know and other files, or the write-ahead log, perhaps do not yet.
-- reply_ids: a JSON array. Once all others know it the row is emptied; it is gone once the log was.
CREATE TABLE unfinished_erasure (
    id         INTEGER PRIMARY KEY,
    org        TEXT NOT NULL,
    session_id TEXT NOT NULL,
    reply_ids  TEXT NOT NULL
);

-- The highest id that was erased of each range of ids: none is given twice.
CREATE TABLE highest_erased (
    of    TEXT NOT NULL,
    first INTEGER NOT NULL,
    id    INTEGER NOT NULL,
    PRIMARY KEY (of, first)
) WITHOUT ROWID;

-- Resources that lost their last usage of a kind, and the version of the commit that took it: a
-- stream tells that they changed. number in resource_removal grows with each row of resource that
-- goes: a process that remembers ids sees by it that one may be gone.
CREATE TABLE emptied (
    org         INTEGER NOT NULL,
    type        TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    version     INTEGER NOT NULL,
    PRIMARY KEY (org, type, resource_id)
) WITHOUT ROWID;
CREATE TABLE resource_removal (number INTEGER NOT NULL);
INSERT INTO resource_removal VALUES (0);

-- How many days an organization keeps its replies, 0 for ever; without a row, as the settings say.
CREATE TABLE retention (
    org  TEXT PRIMARY KEY,
    days INTEGER NOT NULL
) WITHOUT ROWID;

-- Who did what. Ids grow in the order of the acts, and none is given twice.
CREATE TABLE audit (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    org    TEXT NOT NULL,
    at     INTEGER NOT NULL,
    actor  TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT,
    detail TEXT
);
CREATE INDEX audit_org ON audit (org, id);

-- Usages as rows, and every answer a function of the set of rows. A table holds a set: what is sent
-- again is a row that is there already, and merging takes it away some time later. No question may
-- depend on whether that happened: it counts distinct values, or takes the greatest of what was said.
-- Nothing is partitioned: many small parts cost more than anything else, and all questions go by key.
--
-- A table lives on each shard; NAME_all is the way to all of its shards, and there is none on a
-- single node. Which shard a row is on:
--   by conversation   usage, reply, fact, tombstone, disowned: conversations and replies are disjoint
--                     between shards, so that each shard finishes its own distinct counts;
--   by reply          claim: whoever sends a reply asks one shard, whichever conversation it names;
--   0, the first one  what is small: its rows have one order, and one place is asked for them.
--
-- Numbers of conversations and replies are 64 bits of a keyed BLAKE2b of their ids, since nobody hands
-- numbers out. Times are microseconds since 1970-01-01T00:00:00Z: DateTime64 ends in 2299.
-- What is inserted is synced to the disk, and so is what merging makes of it.

-- The facts. Ordered by resource first: a summary is one range of rows for each kind, a list one for
-- each type, and what they read grows with the resource and the window, not with the organization.
-- The key is the identity of a usage, and its conversation: what two claims of one reply brought are
-- rows of their own, of which merging must not take the wrong one away. The indexes skip blocks that have nothing of a conversation, or of
-- the minutes that an export is at. call: 0, or the place among the reply's invocations of the
-- action, or the high bit and 63 bits of a hash of the source's call id.
CREATE TABLE IF NOT EXISTS usage (
    org           LowCardinality(String),
    resource_type Enum8('action' = 0, 'instruction' = 1, 'knowledge' = 2),
    resource_id   String CODEC(ZSTD),
    kind          Enum8('available' = 0, 'applied' = 1),
    replied_at    Int64 CODEC(Delta, ZSTD),
    reply         UInt64,
    call          UInt64 CODEC(ZSTD),
    conversation  UInt64,
    INDEX conversation_index conversation TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX replied_at_index replied_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
ORDER BY (org, resource_type, resource_id, kind, replied_at, reply, call, conversation)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS usage_all AS usage
ENGINE = Distributed('{cluster}', currentDatabase(), usage, conversation);

-- The replies, with or without usages. Ordered by time: an export reads on from a time, retention takes
-- the oldest, and the conversations of a window are one range. The replies of one conversation are
-- found by its index, which skips all but a few blocks. claimed_at: as in claim.
CREATE TABLE IF NOT EXISTS reply (
    org          LowCardinality(String),
    replied_at   Int64 CODEC(Delta, ZSTD),
    reply_id     String CODEC(ZSTD),
    reply        UInt64,
    conversation UInt64,
    session_id   String CODEC(ZSTD),
    claimed_at   Int64 CODEC(Delta, ZSTD),
    INDEX conversation_index conversation TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PRIMARY KEY (org, replied_at)
ORDER BY (org, replied_at, reply_id, conversation)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS reply_all AS reply
ENGINE = Distributed('{cluster}', currentDatabase(), reply, conversation);

-- Which conversation and time each reply has. All that were ever claimed stay; the earliest claim wins,
-- and of two at the same time the lesser. Ordered by reply_id: looked up by it and by nothing else.
CREATE TABLE IF NOT EXISTS claim (
    org        LowCardinality(String),
    reply_id   String CODEC(ZSTD),
    claimed_at Int64,
    session_id String CODEC(ZSTD),
    replied_at Int64,
    reply      UInt64
)
ENGINE = ReplacingMergeTree
PRIMARY KEY (org, reply_id)
ORDER BY (org, reply_id, claimed_at, session_id, replied_at)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS claim_all AS claim
ENGINE = Distributed('{cluster}', currentDatabase(), claim, reply);

-- Replies as claims that lost have them. Their usages are never counted, whether they came before or
-- come after. There are some only where two senders gave one reply two conversations at one moment.
CREATE TABLE IF NOT EXISTS disowned (
    org          LowCardinality(String),
    conversation UInt64,
    replied_at   Int64,
    reply        UInt64
)
ENGINE = ReplacingMergeTree
ORDER BY (org, conversation, replied_at, reply)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS disowned_all AS disowned
ENGINE = Distributed('{cluster}', currentDatabase(), disowned, conversation);

-- What is known of conversations. said is the greatest of what was said, which is the newest: at is the
-- time of the reply that said it, or the version of what was set; for the time at which a conversation
-- became known and for the handoffs that came with replies, of which the earliest counts, it is the
-- negative time. is_given: it has a value; what is set may be null. Ordered by fact before
-- conversation: who was handed off, or has a status, is one range.
CREATE TABLE IF NOT EXISTS fact (
    org          LowCardinality(String),
    fact         Enum8('known' = 0, 'ticket_number' = 1, 'last_message' = 2, 'handed_off_at' = 3,
                       'status' = 4, 'csat' = 5),
    conversation UInt64,
    source       Enum8('reply' = 0, 'set' = 1),
    session_id   SimpleAggregateFunction(any, String) CODEC(ZSTD),
    said         SimpleAggregateFunction(max, Tuple(
        at Int64, is_given UInt8, number Int64, score Float64, text String)) CODEC(ZSTD)
)
ENGINE = AggregatingMergeTree
ORDER BY (org, fact, conversation, source)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS fact_all AS fact
ENGINE = Distributed('{cluster}', currentDatabase(), fact, conversation);

-- Erased conversations: a keyed digest of each session_id, and nothing else of it.
CREATE TABLE IF NOT EXISTS tombstone (
    org          LowCardinality(String),
    digest       FixedString(16),
    conversation UInt64,
    erased_at    SimpleAggregateFunction(min, Int64)
)
ENGINE = AggregatingMergeTree
ORDER BY (org, digest, conversation)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS tombstone_all AS tombstone
ENGINE = Distributed('{cluster}', currentDatabase(), tombstone, conversation);

-- What follows is small and lives on the first shard.

-- The random bytes that ids are hashed and cursors are signed with, as hexadecimal numbers.
CREATE TABLE IF NOT EXISTS secret (name String, value String)
ENGINE = ReplacingMergeTree
ORDER BY (name, value)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS secret_all AS secret
ENGINE = Distributed('{cluster}', currentDatabase(), secret, 0);

CREATE TABLE IF NOT EXISTS organization (org String)
ENGINE = ReplacingMergeTree
ORDER BY org
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS organization_all AS organization
ENGINE = Distributed('{cluster}', currentDatabase(), organization, 0);

-- Which resources gained or lost usages. The number of the block that a row came in is the version: the
-- shard gives it when the rows become visible, so that they rise in the order in which they do, and
-- merging keeps it. Of a resource only the last change is kept.
CREATE TABLE IF NOT EXISTS change (
    org           LowCardinality(String),
    resource_type Enum8('action' = 0, 'instruction' = 1, 'knowledge' = 2),
    resource_id   String
)
ENGINE = ReplacingMergeTree
ORDER BY (org, resource_type, resource_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1,
         enable_block_number_column = 1;

CREATE TABLE IF NOT EXISTS change_all AS change
ENGINE = Distributed('{cluster}', currentDatabase(), change, 0);

-- The names that came with usages. The first one stays: it has the greatest negative time.
CREATE TABLE IF NOT EXISTS resource_name (
    org           LowCardinality(String),
    resource_type Enum8('action' = 0, 'instruction' = 1, 'knowledge' = 2),
    resource_id   String,
    said          SimpleAggregateFunction(max, Tuple(at Int64, text String))
)
ENGINE = AggregatingMergeTree
ORDER BY (org, resource_type, resource_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS resource_name_all AS resource_name
ENGINE = Distributed('{cluster}', currentDatabase(), resource_name, 0);

-- The types of resource whose application some sender was able to report.
CREATE TABLE IF NOT EXISTS reportable (
    org           LowCardinality(String),
    resource_type Enum8('action' = 0, 'instruction' = 1, 'knowledge' = 2)
)
ENGINE = ReplacingMergeTree
ORDER BY (org, resource_type)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS reportable_all AS reportable
ENGINE = Distributed('{cluster}', currentDatabase(), reportable, 0);

-- What the catalogue says of resources, a row for each field: the newest statement counts, and null takes
-- one back. 'catalogued' has no value: the catalogue named the resource.
CREATE TABLE IF NOT EXISTS catalogue (
    org           LowCardinality(String),
    resource_type Enum8('action' = 0, 'instruction' = 1, 'knowledge' = 2),
    resource_id   String,
    field         Enum8('catalogued' = 0, 'name' = 1, 'version' = 2, 'url' = 3,
                        'published_at' = 4, 'keep' = 5),
    said          SimpleAggregateFunction(max, Tuple(
        at Int64, is_given UInt8, number Int64, text String))
)
ENGINE = AggregatingMergeTree
ORDER BY (org, resource_type, resource_id, field)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS catalogue_all AS catalogue
ENGINE = Distributed('{cluster}', currentDatabase(), catalogue, 0);

-- The versions that were published, each since when; the newest statement counts.
CREATE TABLE IF NOT EXISTS published_version (
    org           LowCardinality(String),
    resource_type Enum8('action' = 0, 'instruction' = 1, 'knowledge' = 2),
    resource_id   String,
    version       String,
    said          SimpleAggregateFunction(max, Tuple(at Int64, published_at Int64))
)
ENGINE = AggregatingMergeTree
ORDER BY (org, resource_type, resource_id, version)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS published_version_all AS published_version
ENGINE = Distributed('{cluster}', currentDatabase(), published_version, 0);

-- A key is one row when it is made, and others that say when it was used last or revoked: the greatest
-- text, the latest use and the earliest revocation are true. scopes: '*' is full access.
CREATE TABLE IF NOT EXISTS api_key (
    key_id       String,
    digest       SimpleAggregateFunction(max, String),
    org          SimpleAggregateFunction(max, String),
    name         SimpleAggregateFunction(max, String),
    hint         SimpleAggregateFunction(max, String),
    scopes       SimpleAggregateFunction(max, String),
    created_at   SimpleAggregateFunction(max, Nullable(Int64)),
    last_used_at SimpleAggregateFunction(max, Nullable(Int64)),
    expires_at   SimpleAggregateFunction(max, Nullable(Int64)),
    revoked_at   SimpleAggregateFunction(min, Nullable(Int64))
)
ENGINE = AggregatingMergeTree
ORDER BY key_id
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS api_key_all AS api_key
ENGINE = Distributed('{cluster}', currentDatabase(), api_key, 0);

-- Sessions of the dashboard, under the SHA-256 of their token, and who asked to end each: whoever sees
-- nobody else there ended it.
CREATE TABLE IF NOT EXISTS session (digest String, key_id String, expires_at Int64)
ENGINE = ReplacingMergeTree
ORDER BY (digest, key_id, expires_at)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS session_all AS session
ENGINE = Distributed('{cluster}', currentDatabase(), session, 0);

CREATE TABLE IF NOT EXISTS session_end (digest String, ended_by String)
ENGINE = ReplacingMergeTree
ORDER BY (digest, ended_by)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS session_end_all AS session_end
ENGINE = Distributed('{cluster}', currentDatabase(), session_end, 0);

-- How many days an organization keeps its replies, 0 for ever, null as the settings say.
CREATE TABLE IF NOT EXISTS retention (org String, set_at Int64, days Nullable(Int64))
ENGINE = ReplacingMergeTree
ORDER BY (org, set_at)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS retention_all AS retention
ENGINE = Distributed('{cluster}', currentDatabase(), retention, 0);

-- Erasures that these tables know and other files perhaps do not yet.
CREATE TABLE IF NOT EXISTS unfinished_erasure (
    erasure_id Int64,
    org        String,
    session_id String,
    reply_ids  Array(String)
)
ENGINE = ReplacingMergeTree
ORDER BY erasure_id
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS unfinished_erasure_all AS unfinished_erasure
ENGINE = Distributed('{cluster}', currentDatabase(), unfinished_erasure, 0);

-- Who did what. entry_id: the time in microseconds, and ten bits that tell the acts of one apart.
CREATE TABLE IF NOT EXISTS audit (
    org      LowCardinality(String),
    entry_id Int64,
    actor    String,
    action   LowCardinality(String),
    target   Nullable(String),
    detail   Nullable(String)
)
ENGINE = ReplacingMergeTree
ORDER BY (org, entry_id, actor, action)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS audit_all AS audit
ENGINE = Distributed('{cluster}', currentDatabase(), audit, 0);

-- Takes rows and keeps none: whether each shard can be written to is asked in this way.
CREATE TABLE IF NOT EXISTS probe (number UInt8) ENGINE = Null;

CREATE TABLE IF NOT EXISTS probe_all AS probe
ENGINE = Distributed('{cluster}', currentDatabase(), probe, number);

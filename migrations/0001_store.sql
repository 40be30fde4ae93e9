-- The store's tables. Times are milliseconds since the epoch; `doc` and `config` are JSON, kept as given.
-- Everything about a job hangs on its row in `jobs` and goes with it, except notifications, which outlive it.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE jobs (
    job_id       TEXT PRIMARY KEY NOT NULL,
    config       TEXT NOT NULL,
    state        TEXT NOT NULL,
    reason       TEXT,
    opened_order INTEGER
);

-- One document of a kind a job: data_counts, model_size_stats, timing_stats.
CREATE TABLE job_stats (
    job_id TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE,
    kind   TEXT NOT NULL,
    doc    TEXT NOT NULL,
    PRIMARY KEY (job_id, kind)
) WITHOUT ROWID;

-- Accepted commands that the checkpoint doesn't hold yet. Payloads are large: a rowid table keeps them
-- out of the key's tree.
CREATE TABLE journal (
    job_id  TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE,
    seq     INTEGER NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (job_id, seq)
);

-- The engine's state after the command `seq`; `size` is the sum of its chunks' bytes.
CREATE TABLE checkpoints (
    job_id TEXT PRIMARY KEY NOT NULL REFERENCES jobs ON DELETE CASCADE,
    seq    INTEGER NOT NULL,
    size   INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE checkpoint_chunks (
    job_id TEXT NOT NULL REFERENCES checkpoints ON DELETE CASCADE,
    part   INTEGER NOT NULL,
    bytes  BLOB NOT NULL,
    PRIMARY KEY (job_id, part)
);

CREATE TABLE snapshots (
    job_id      TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE,
    snapshot_id TEXT NOT NULL,
    timestamp   INTEGER NOT NULL,
    retain      INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    doc         TEXT NOT NULL,
    PRIMARY KEY (job_id, snapshot_id)
) WITHOUT ROWID;

CREATE TABLE snapshot_chunks (
    job_id      TEXT NOT NULL,
    snapshot_id TEXT NOT NULL,
    part        INTEGER NOT NULL,
    bytes       BLOB NOT NULL,
    PRIMARY KEY (job_id, snapshot_id, part),
    FOREIGN KEY (job_id, snapshot_id) REFERENCES snapshots ON DELETE CASCADE
);

-- kind: 0 bucket, 1 record, 2 influencer, 3 model plot. `doc` stands last, so that a filter on the other
-- columns never reads its overflow pages.
CREATE TABLE results (
    job_id     TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE,
    kind       INTEGER NOT NULL,
    timestamp  INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    score      REAL NOT NULL,
    is_interim INTEGER NOT NULL,
    doc        TEXT NOT NULL,
    PRIMARY KEY (job_id, kind, timestamp, seq)
) WITHOUT ROWID;

CREATE INDEX results_by_score ON results (job_id, kind, score);

-- Interim rows are few and are deleted often; without this each deletion would scan the job.
CREATE INDEX results_interim ON results (job_id) WHERE is_interim = 1;

CREATE TABLE annotations (
    job_id        TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE,
    annotation_id TEXT NOT NULL,
    timestamp     INTEGER NOT NULL,
    doc           TEXT NOT NULL,
    PRIMARY KEY (job_id, annotation_id)
) WITHOUT ROWID;

-- Audit messages. They outlive their job; a NULL job is a message about the whole system.
CREATE TABLE notifications (
    id        INTEGER PRIMARY KEY,
    job_id    TEXT,
    level     TEXT NOT NULL,
    message   TEXT NOT NULL,
    timestamp INTEGER NOT NULL
);

CREATE INDEX notifications_by_job ON notifications (job_id, timestamp);

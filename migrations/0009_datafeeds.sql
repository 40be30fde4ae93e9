-- Datafeeds: at most one a job. One that is started keeps what it was started with, and goes on by it after a restart.
CREATE TABLE datafeeds (
    datafeed_id  TEXT PRIMARY KEY NOT NULL,
    job_id       TEXT NOT NULL UNIQUE REFERENCES jobs ON DELETE CASCADE,
    config       TEXT NOT NULL,
    started      TEXT,
    timing_stats TEXT
) WITHOUT ROWID;

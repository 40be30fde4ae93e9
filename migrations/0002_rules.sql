-- Filters and calendars. They are the server's, not a job's: only the name of a deleted job leaves its calendars.

CREATE TABLE filters (
    filter_id TEXT PRIMARY KEY NOT NULL,
    doc       TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE calendars (
    calendar_id TEXT PRIMARY KEY NOT NULL,
    description TEXT
) WITHOUT ROWID;

-- `job_id` may also be the name of a group, of a job that isn't there yet, or `_all`.
CREATE TABLE calendar_jobs (
    calendar_id TEXT NOT NULL REFERENCES calendars ON DELETE CASCADE,
    position    INTEGER NOT NULL,
    job_id      TEXT NOT NULL,
    PRIMARY KEY (calendar_id, position)
) WITHOUT ROWID;

CREATE TABLE calendar_events (
    event_id    TEXT PRIMARY KEY NOT NULL,
    calendar_id TEXT NOT NULL REFERENCES calendars ON DELETE CASCADE,
    start_time  INTEGER NOT NULL,
    end_time    INTEGER NOT NULL,
    doc         TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX calendar_events_by_calendar ON calendar_events (calendar_id, start_time);

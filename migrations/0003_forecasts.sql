-- Forecasts. `doc` is the request with what became of it; a NULL expiry means never. `running` is 1 until it has
-- ended one way or the other.
CREATE TABLE forecasts (
    number      INTEGER PRIMARY KEY,
    job_id      TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE,
    forecast_id TEXT NOT NULL,
    created     INTEGER NOT NULL,
    expires     INTEGER,
    running     INTEGER NOT NULL,
    doc         TEXT NOT NULL,
    UNIQUE (job_id, forecast_id)
);

CREATE INDEX forecasts_by_expiry ON forecasts (expires) WHERE expires IS NOT NULL;

-- What the points of one series have in common.
CREATE TABLE forecast_series (
    forecast INTEGER NOT NULL REFERENCES forecasts ON DELETE CASCADE,
    series   INTEGER NOT NULL,
    doc      TEXT NOT NULL,
    PRIMARY KEY (forecast, series),
    UNIQUE (forecast, doc)
) WITHOUT ROWID;

CREATE TABLE forecast_points (
    forecast   INTEGER NOT NULL REFERENCES forecasts ON DELETE CASCADE,
    timestamp  INTEGER NOT NULL,
    series     INTEGER NOT NULL,
    lower      REAL NOT NULL,
    prediction REAL NOT NULL,
    upper      REAL NOT NULL,
    PRIMARY KEY (forecast, timestamp, series)
) WITHOUT ROWID;

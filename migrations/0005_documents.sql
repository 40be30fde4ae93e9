-- Elasticsearch's internal indices as documents. A result that was written as a document has its `_id` and a `seq`
-- below 0, which no result of the engine has.
ALTER TABLE results ADD COLUMN id TEXT;

CREATE INDEX results_by_id ON results (id) WHERE id IS NOT NULL;

ALTER TABLE notifications ADD COLUMN document_id TEXT;

CREATE UNIQUE INDEX notifications_by_document ON notifications (document_id) WHERE document_id IS NOT NULL;

-- What was written to one of these indices and has no place of its own: states of other engines, results of jobs that
-- are not here. `job_id` is whose it is, if that can be told.
CREATE TABLE documents (
    index_name TEXT NOT NULL,
    id         TEXT NOT NULL,
    job_id     TEXT,
    doc        TEXT NOT NULL,
    PRIMARY KEY (index_name, id)
) WITHOUT ROWID;

CREATE INDEX documents_by_job ON documents (job_id) WHERE job_id IS NOT NULL;

-- Indices that were made on their own, or by the first document that was written to them.
CREATE TABLE indices (
    index_name TEXT PRIMARY KEY NOT NULL
) WITHOUT ROWID;

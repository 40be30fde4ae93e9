-- What people have annotated may outlive its job: annotations hang on no job's row any more.
CREATE TABLE free_annotations (
    job_id        TEXT NOT NULL,
    annotation_id TEXT NOT NULL,
    timestamp     INTEGER NOT NULL,
    doc           TEXT NOT NULL,
    PRIMARY KEY (job_id, annotation_id)
) WITHOUT ROWID;

INSERT INTO free_annotations SELECT job_id, annotation_id, timestamp, doc FROM annotations;

DROP TABLE annotations;

ALTER TABLE free_annotations RENAME TO annotations;

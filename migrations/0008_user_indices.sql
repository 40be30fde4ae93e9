-- Indices of users' documents. The documents themselves are in the directory `indices/<uuid>`, beside the database.
CREATE TABLE user_indices (
    uuid     TEXT PRIMARY KEY NOT NULL,
    name     TEXT NOT NULL UNIQUE,
    created  INTEGER NOT NULL, -- epoch milliseconds
    settings TEXT NOT NULL,
    mappings TEXT NOT NULL,
    aliases  TEXT NOT NULL
) WITHOUT ROWID;

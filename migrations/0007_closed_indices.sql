-- An index that is closed, by the name that it was closed by: it is told of by that name.
ALTER TABLE indices ADD COLUMN closed_as TEXT;

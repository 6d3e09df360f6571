-- +goose Up
-- What a process took down of directories' calls and has not put into the audit
-- trail yet.

CREATE TABLE call_draft (
    org     TEXT NOT NULL REFERENCES org (id),
    process TEXT NOT NULL,
    at      INTEGER NOT NULL,
    doc     BLOB, -- JSON; NULL for nothing yet
    PRIMARY KEY (org, process)
) STRICT;

-- +goose Down
DROP TABLE call_draft;

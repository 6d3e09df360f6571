-- +goose Up
-- What a process took down of directories' calls and has not put into the audit
-- trail yet.

CREATE TABLE call_draft (
    org     TEXT COLLATE "C" NOT NULL REFERENCES org (id),
    process TEXT COLLATE "C" NOT NULL,
    at      BIGINT NOT NULL,
    doc     BYTEA, -- JSON; NULL for nothing yet
    PRIMARY KEY (org, process)
);

-- +goose Down
DROP TABLE call_draft;

-- +goose Up

-- The oldest schema whose programs may still work on this file.
PRAGMA user_version = 1;

-- The event epoch, the last number given out and the last one acknowledged,
-- sealed. Two tables, so two pages.
CREATE TABLE log_a (id INTEGER PRIMARY KEY CHECK (id = 1), box BLOB NOT NULL) STRICT;
CREATE TABLE log_b (id INTEGER PRIMARY KEY CHECK (id = 1), box BLOB NOT NULL) STRICT;

-- box is the event, sealed; the columns beside it are what people filter by.
CREATE TABLE events (
    n      INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL, -- unix milliseconds
    kind   TEXT    NOT NULL,
    door   TEXT    NOT NULL,
    reader TEXT    NOT NULL,
    box    BLOB    NOT NULL
) STRICT;
CREATE INDEX events_kind ON events (kind, n, at);
CREATE INDEX events_door ON events (door, n, at);
CREATE INDEX events_reader ON events (reader, n, at);

-- Which events of which controller are stored. Rows outlive their events, so
-- that a controller that tells its log again is recognised.
CREATE TABLE devices (
    serial TEXT    NOT NULL,
    boot   INTEGER NOT NULL,
    seq    INTEGER NOT NULL, -- a uint64's bits
    n      INTEGER NOT NULL,
    PRIMARY KEY (serial, boot, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX devices_n ON devices (n);

-- +goose Down
DROP TABLE devices;
DROP TABLE events;
DROP TABLE log_b;
DROP TABLE log_a;

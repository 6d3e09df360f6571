-- +goose Up

-- The oldest schema whose programs may still work on this file. A migration
-- that an older program cannot live with raises it.
PRAGMA user_version = 1;

-- Where the stream stands, sealed. Two tables, so two pages: one damaged page
-- costs nothing.
CREATE TABLE state_a (id INTEGER PRIMARY KEY CHECK (id = 1), box BLOB NOT NULL) STRICT;
CREATE TABLE state_b (id INTEGER PRIMARY KEY CHECK (id = 1), box BLOB NOT NULL) STRICT;

-- The records of one generation are the state; others are a snapshot that is
-- being staged, or an older state that is being cleared away. box is the
-- canonical record as received, sealed.
CREATE TABLE records (
    gen  INTEGER NOT NULL,
    kind TEXT    NOT NULL,
    key  TEXT    NOT NULL,
    box  BLOB    NOT NULL,
    PRIMARY KEY (gen, kind, key)
) STRICT, WITHOUT ROWID;

-- The deny lane: refused until a delta or snapshot of (epoch, seq) or later is
-- applied. box seals the row.
CREATE TABLE blocked (
    kind  TEXT    NOT NULL,
    key   TEXT    NOT NULL,
    epoch INTEGER NOT NULL,
    seq   INTEGER NOT NULL,
    box   BLOB    NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

-- Second copies of all whose loss would open a door: the deny lane, and the
-- records that restrict (seq and epoch 0).
CREATE TABLE guard (
    what  TEXT    NOT NULL CHECK (what IN ('blocked', 'record')),
    kind  TEXT    NOT NULL,
    key   TEXT    NOT NULL,
    epoch INTEGER NOT NULL,
    seq   INTEGER NOT NULL,
    box   BLOB    NOT NULL,
    PRIMARY KEY (what, kind, key)
) STRICT, WITHOUT ROWID;

-- The snapshot that is being staged, and which parts are here.
CREATE TABLE staging (id INTEGER PRIMARY KEY CHECK (id = 1), box BLOB NOT NULL) STRICT;
CREATE TABLE staged (part INTEGER PRIMARY KEY) STRICT;

-- What the reconciler knows of each credential at each controller.
CREATE TABLE ledger (
    controller TEXT    NOT NULL,
    credential TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    since      INTEGER NOT NULL, -- unix milliseconds
    version    INTEGER NOT NULL, -- a uint64's bits
    text       TEXT    NOT NULL,
    PRIMARY KEY (controller, credential)
) STRICT, WITHOUT ROWID;

-- Keys that a controller must not hold any more. id is a keyed hash, because
-- the keys are card bits.
CREATE TABLE tombstones (
    controller TEXT    NOT NULL,
    id         BLOB    NOT NULL,
    at         INTEGER NOT NULL, -- unix milliseconds
    box        BLOB    NOT NULL,
    PRIMARY KEY (controller, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE small_values (name TEXT PRIMARY KEY, box BLOB NOT NULL) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE small_values;
DROP TABLE tombstones;
DROP TABLE ledger;
DROP TABLE staged;
DROP TABLE staging;
DROP TABLE guard;
DROP TABLE blocked;
DROP TABLE records;
DROP TABLE state_b;
DROP TABLE state_a;

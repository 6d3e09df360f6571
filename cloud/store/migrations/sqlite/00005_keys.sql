-- +goose Up
-- Mobile keys: credentials of their own, with numbers from a pool.

ALTER TABLE card ADD COLUMN technology TEXT NOT NULL DEFAULT 'card';
-- A key that waits for a number has no bits.
DROP INDEX card_unshared;
CREATE UNIQUE INDEX card_unshared ON card (org, bits) WHERE shared = 0 AND bits <> '';
CREATE INDEX card_technology ON card (org, technology, status, person) WHERE technology <> 'card';

CREATE TABLE pool (
    org        TEXT NOT NULL REFERENCES org (id),
    technology TEXT NOT NULL,
    format     TEXT NOT NULL,
    facility   INTEGER,
    first      TEXT NOT NULL, -- decimal: numbers of 64 bits
    last       TEXT NOT NULL,
    next       TEXT NOT NULL, -- to be looked at first
    spent      INTEGER NOT NULL, -- no number was free
    PRIMARY KEY (org, technology)
) STRICT;

-- +goose Down
DROP TABLE pool;
DROP INDEX card_technology;
DELETE FROM card WHERE technology <> 'card';
DROP INDEX card_unshared;
CREATE UNIQUE INDEX card_unshared ON card (org, bits) WHERE shared = 0;
ALTER TABLE card DROP COLUMN technology;

-- +goose Up
-- Mobile keys: credentials of their own, with numbers from a pool.

ALTER TABLE card ADD COLUMN technology TEXT COLLATE "C" NOT NULL DEFAULT 'card';
-- A key that waits for a number has no bits.
DROP INDEX card_unshared;
CREATE UNIQUE INDEX card_unshared ON card (org, bits) WHERE shared = 0 AND bits <> '';
CREATE INDEX card_technology ON card (org, technology, status, person) WHERE technology <> 'card';

CREATE TABLE pool (
    org        TEXT COLLATE "C" NOT NULL REFERENCES org (id),
    technology TEXT COLLATE "C" NOT NULL,
    format     TEXT COLLATE "C" NOT NULL,
    facility   BIGINT,
    first      TEXT COLLATE "C" NOT NULL, -- decimal: numbers of 64 bits
    last       TEXT COLLATE "C" NOT NULL,
    next       TEXT COLLATE "C" NOT NULL, -- to be looked at first
    spent      BIGINT NOT NULL, -- no number was free
    PRIMARY KEY (org, technology)
);

-- +goose Down
DROP TABLE pool;
DROP INDEX card_technology;
DELETE FROM card WHERE technology <> 'card';
DROP INDEX card_unshared;
CREATE UNIQUE INDEX card_unshared ON card (org, bits) WHERE shared = 0;
ALTER TABLE card DROP COLUMN technology;

-- +goose Up
-- What a directory that the cloud reads itself says of people and groups, and
-- how it is read.

ALTER TABLE person ADD COLUMN pulled_id TEXT COLLATE "C" NOT NULL DEFAULT ''; -- the directory's id
ALTER TABLE person ADD COLUMN pulled_status TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE person ADD COLUMN pulled_owned BIGINT NOT NULL DEFAULT 0; -- no directory that calls us knows them
ALTER TABLE person ADD COLUMN pulled_out BIGINT NOT NULL DEFAULT 0; -- locked out by what was read
CREATE UNIQUE INDEX person_pulled ON person (org, pulled_id) WHERE pulled_id <> '';

ALTER TABLE directory_group ADD COLUMN pulled_id TEXT COLLATE "C" NOT NULL DEFAULT ''; -- empty where a directory that calls us knows it
CREATE UNIQUE INDEX directory_group_pulled ON directory_group (org, pulled_id) WHERE pulled_id <> '';

CREATE TABLE setting (
    org  TEXT COLLATE "C" NOT NULL REFERENCES org (id),
    name TEXT COLLATE "C" NOT NULL,
    doc  TEXT COLLATE "C" NOT NULL, -- JSON; secrets in it are sealed
    PRIMARY KEY (org, name)
);

-- +goose Down
DROP TABLE setting;
DROP INDEX directory_group_pulled;
ALTER TABLE directory_group DROP COLUMN pulled_id;
DROP INDEX person_pulled;
ALTER TABLE person DROP COLUMN pulled_out;
ALTER TABLE person DROP COLUMN pulled_owned;
ALTER TABLE person DROP COLUMN pulled_status;
ALTER TABLE person DROP COLUMN pulled_id;

-- +goose Up
-- What the mass-loss guard knows of a site, and what waits for a person.

ALTER TABLE site ADD COLUMN guard TEXT COLLATE "C" NOT NULL DEFAULT ''; -- JSON object; empty is the default
ALTER TABLE site ADD COLUMN openings BIGINT NOT NULL DEFAULT -1; -- below 0: never counted
ALTER TABLE site ADD COLUMN losses TEXT COLLATE "C" NOT NULL DEFAULT '[]'; -- JSON list

CREATE TABLE hold (
    id    TEXT COLLATE "C" PRIMARY KEY, -- sorts by when it was made
    org   TEXT COLLATE "C" NOT NULL REFERENCES org (id),
    state TEXT COLLATE "C" NOT NULL,
    doc   TEXT COLLATE "C" NOT NULL
);
CREATE INDEX hold_org ON hold (org, id);
CREATE INDEX hold_open ON hold (org, id) WHERE state = 'open';

-- People who keep at a site what the rules gave them, because its loss is held.
CREATE TABLE pin (
    person TEXT COLLATE "C" NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    site   TEXT COLLATE "C" NOT NULL REFERENCES site (id),
    hold   TEXT COLLATE "C" NOT NULL REFERENCES hold (id),
    kept   TEXT COLLATE "C" NOT NULL, -- JSON object: an outcome
    since  BIGINT NOT NULL,
    PRIMARY KEY (person, site)
);
CREATE INDEX pin_hold ON pin (hold, person);
CREATE INDEX pin_site ON pin (site);

-- +goose Down
DROP TABLE pin;
DROP TABLE hold;
ALTER TABLE site DROP COLUMN losses;
ALTER TABLE site DROP COLUMN openings;
ALTER TABLE site DROP COLUMN guard;

-- +goose Up
-- What the mass-loss guard knows of a site, and what waits for a person.

ALTER TABLE site ADD COLUMN guard TEXT NOT NULL DEFAULT ''; -- JSON object; empty is the default
ALTER TABLE site ADD COLUMN openings INTEGER NOT NULL DEFAULT -1; -- below 0: never counted
ALTER TABLE site ADD COLUMN losses TEXT NOT NULL DEFAULT '[]'; -- JSON list

CREATE TABLE hold (
    id    TEXT PRIMARY KEY, -- sorts by when it was made
    org   TEXT NOT NULL REFERENCES org (id),
    state TEXT NOT NULL,
    doc   TEXT NOT NULL
) STRICT;
CREATE INDEX hold_org ON hold (org, id);
CREATE INDEX hold_open ON hold (org, id) WHERE state = 'open';

-- People who keep at a site what the rules gave them, because its loss is held.
CREATE TABLE pin (
    person TEXT NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    site   TEXT NOT NULL REFERENCES site (id),
    hold   TEXT NOT NULL REFERENCES hold (id),
    kept   TEXT NOT NULL, -- JSON object: an outcome
    since  INTEGER NOT NULL,
    PRIMARY KEY (person, site)
) STRICT;
CREATE INDEX pin_hold ON pin (hold, person);
CREATE INDEX pin_site ON pin (site);

-- +goose Down
DROP TABLE pin;
DROP TABLE hold;
ALTER TABLE site DROP COLUMN losses;
ALTER TABLE site DROP COLUMN openings;
ALTER TABLE site DROP COLUMN guard;

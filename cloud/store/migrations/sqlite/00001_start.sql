-- +goose Up
-- Times are milliseconds since 1970, UTC. Names that ignore case are stored
-- folded beside the document that has them as they came.

CREATE TABLE org (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    profile      TEXT NOT NULL,
    scim_enabled INTEGER NOT NULL,
    card_removal TEXT NOT NULL,
    sentinels    TEXT NOT NULL, -- JSON list
    created      INTEGER NOT NULL,
    config       INTEGER NOT NULL -- counts changes of the configuration
) STRICT;

CREATE TABLE token (
    id      TEXT PRIMARY KEY,
    org     TEXT NOT NULL REFERENCES org (id),
    hash    BLOB NOT NULL UNIQUE, -- SHA-256 of the secret, which is kept nowhere
    label   TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT;
CREATE INDEX token_org ON token (org, id);

CREATE TABLE badge_type (
    org        TEXT NOT NULL REFERENCES org (id),
    id         TEXT NOT NULL,
    format     TEXT NOT NULL,
    facility   INTEGER,
    is_default INTEGER NOT NULL,
    shared     INTEGER NOT NULL,
    PRIMARY KEY (org, id)
) STRICT;

CREATE TABLE site (
    id        TEXT PRIMARY KEY, -- across organisations: it names MQTT topics
    org       TEXT NOT NULL REFERENCES org (id),
    name      TEXT NOT NULL,
    agent_key TEXT NOT NULL,
    wallet    INTEGER NOT NULL,
    pilot     TEXT NOT NULL, -- JSON list
    pilot_ids TEXT NOT NULL, -- JSON list
    deleted   INTEGER NOT NULL,
    epoch     INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    hash      BLOB NOT NULL,
    digest    BLOB NOT NULL
) STRICT;
CREATE INDEX site_org ON site (org, id);

CREATE TABLE site_item (
    site TEXT NOT NULL REFERENCES site (id),
    kind TEXT NOT NULL, -- door, group, schedule
    id   TEXT NOT NULL,
    doc  TEXT NOT NULL,
    PRIMARY KEY (site, kind, id)
) STRICT;

CREATE TABLE rule (
    site     TEXT NOT NULL REFERENCES site (id),
    id       TEXT NOT NULL,
    position INTEGER NOT NULL,
    doc      TEXT NOT NULL,
    PRIMARY KEY (site, id)
) STRICT;

CREATE TABLE person (
    id               TEXT PRIMARY KEY, -- sorts by creation
    org              TEXT NOT NULL REFERENCES org (id),
    origin           TEXT NOT NULL,
    user_name        TEXT NOT NULL,
    user_name_fold   TEXT NOT NULL,
    external_id      TEXT NOT NULL,
    name             TEXT NOT NULL,
    name_fold        TEXT NOT NULL,
    active           INTEGER NOT NULL,
    suspended        INTEGER NOT NULL,
    kind             TEXT NOT NULL,
    card_number      TEXT NOT NULL,
    card_number_fold TEXT NOT NULL,
    manager          TEXT NOT NULL,
    card_last        TEXT NOT NULL,
    card_state       TEXT NOT NULL,
    card_text        TEXT NOT NULL,
    issues           TEXT NOT NULL, -- JSON list
    doc              TEXT NOT NULL, -- SCIM attributes
    created          INTEGER NOT NULL,
    modified         INTEGER NOT NULL,
    version          INTEGER NOT NULL
) STRICT;
-- The other indexes end in origin and id too, so that they are a better match
-- than this one for whoever looks for one user among very many.
CREATE INDEX person_org ON person (org, origin, id);
CREATE UNIQUE INDEX person_user_name ON person (org, user_name_fold) WHERE user_name_fold <> '';
CREATE INDEX person_external ON person (org, external_id, origin, id) WHERE external_id <> '';
CREATE INDEX person_name ON person (org, name_fold, origin, id);
CREATE INDEX person_card ON person (org, card_number_fold, origin, id) WHERE card_number_fold <> '';
CREATE INDEX person_manager ON person (org, manager, origin, id) WHERE manager <> '';

CREATE TABLE person_email (
    org    TEXT NOT NULL,
    value  TEXT NOT NULL, -- folded
    person TEXT NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    PRIMARY KEY (org, value, person)
) STRICT;
CREATE INDEX person_email_person ON person_email (person);

CREATE TABLE card (
    id          TEXT PRIMARY KEY,
    org         TEXT NOT NULL REFERENCES org (id),
    person      TEXT NOT NULL REFERENCES person (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    origin      TEXT NOT NULL,
    status      TEXT NOT NULL,
    badge_type  TEXT NOT NULL,
    format      TEXT NOT NULL,
    bits        TEXT NOT NULL,
    facility    TEXT NOT NULL, -- decimal: numbers of 64 bits
    number      TEXT NOT NULL,
    shared      INTEGER NOT NULL,
    valid_from  INTEGER NOT NULL,
    valid_until INTEGER NOT NULL,
    created     INTEGER NOT NULL
) STRICT;
CREATE INDEX card_person ON card (person, id);
CREATE INDEX card_bits ON card (org, bits);
CREATE UNIQUE INDEX card_unshared ON card (org, bits) WHERE shared = 0;

CREATE TABLE manual_member (
    person TEXT NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    site   TEXT NOT NULL REFERENCES site (id),
    grp    TEXT NOT NULL,
    PRIMARY KEY (person, site, grp)
) STRICT;
CREATE INDEX manual_member_site ON manual_member (site, grp);

CREATE TABLE outcome (
    person TEXT NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    site   TEXT NOT NULL REFERENCES site (id),
    rule   TEXT NOT NULL,
    groups TEXT NOT NULL, -- JSON list
    role   TEXT NOT NULL,
    ble    INTEGER NOT NULL,
    wallet INTEGER NOT NULL,
    PRIMARY KEY (person, site)
) STRICT;
CREATE INDEX outcome_site ON outcome (site);

CREATE TABLE directory_group (
    id           TEXT PRIMARY KEY, -- sorts by creation
    org          TEXT NOT NULL REFERENCES org (id),
    display_name TEXT NOT NULL,
    name_fold    TEXT NOT NULL,
    external_id  TEXT NOT NULL,
    doc          TEXT NOT NULL,
    created      INTEGER NOT NULL,
    modified     INTEGER NOT NULL,
    version      INTEGER NOT NULL
) STRICT;
CREATE INDEX directory_group_org ON directory_group (org, id);
CREATE UNIQUE INDEX directory_group_name ON directory_group (org, name_fold);
CREATE INDEX directory_group_external ON directory_group (org, external_id, id) WHERE external_id <> '';

-- A member that is no person yet is a row like any other: it counts once there
-- is a person of that id.
CREATE TABLE directory_member (
    grp    TEXT NOT NULL REFERENCES directory_group (id) ON DELETE CASCADE,
    member TEXT NOT NULL,
    PRIMARY KEY (grp, member)
) STRICT;
CREATE INDEX directory_member_member ON directory_member (member, grp);

CREATE TABLE site_record (
    site  TEXT NOT NULL REFERENCES site (id),
    kind  TEXT NOT NULL,
    key   TEXT NOT NULL,
    owner TEXT NOT NULL, -- the person whose doing it is, or nothing
    doc   BLOB NOT NULL, -- canonical
    PRIMARY KEY (site, kind, key)
) STRICT;
CREATE INDEX site_record_owner ON site_record (owner, site);
CREATE INDEX site_record_site_owner ON site_record (site, owner);

CREATE TABLE site_log (
    site    TEXT NOT NULL REFERENCES site (id),
    epoch   INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    hash    BLOB NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (site, epoch, seq)
) STRICT;

CREATE TABLE site_state (
    site           TEXT PRIMARY KEY REFERENCES site (id),
    hello_at       INTEGER NOT NULL,
    up_at          INTEGER NOT NULL,
    software       TEXT NOT NULL,
    applied_epoch  INTEGER NOT NULL,
    applied_seq    INTEGER NOT NULL,
    applied_hash   BLOB NOT NULL,
    applied_digest BLOB NOT NULL,
    nack           TEXT NOT NULL,
    nack_at        INTEGER NOT NULL,
    proof          TEXT NOT NULL, -- JSON list
    proof_at       INTEGER NOT NULL
) STRICT;

CREATE TABLE site_event (
    site        TEXT NOT NULL REFERENCES site (id),
    pos         INTEGER NOT NULL,
    event_epoch TEXT NOT NULL,
    n           INTEGER NOT NULL,
    doc         TEXT NOT NULL,
    PRIMARY KEY (site, pos)
) STRICT;
CREATE UNIQUE INDEX site_event_once ON site_event (site, event_epoch, n);

-- People whose gains of access are still to be written to the sites' logs.
CREATE TABLE dirty (
    org    TEXT NOT NULL REFERENCES org (id),
    person TEXT NOT NULL,
    PRIMARY KEY (org, person)
) STRICT;

CREATE TABLE audit (
    id      TEXT PRIMARY KEY, -- sorts by time
    org     TEXT NOT NULL REFERENCES org (id),
    at      INTEGER NOT NULL,
    who     TEXT NOT NULL,
    what    TEXT NOT NULL,
    object  TEXT NOT NULL,
    name    TEXT NOT NULL,
    changes TEXT NOT NULL, -- JSON object
    error   TEXT NOT NULL
) STRICT;
CREATE INDEX audit_org ON audit (org, id);

-- +goose Down
DROP TABLE audit;
DROP TABLE dirty;
DROP TABLE site_event;
DROP TABLE site_state;
DROP TABLE site_log;
DROP TABLE site_record;
DROP TABLE directory_member;
DROP TABLE directory_group;
DROP TABLE outcome;
DROP TABLE manual_member;
DROP TABLE card;
DROP TABLE person_email;
DROP TABLE person;
DROP TABLE rule;
DROP TABLE site_item;
DROP TABLE site;
DROP TABLE badge_type;
DROP TABLE token;
DROP TABLE org;

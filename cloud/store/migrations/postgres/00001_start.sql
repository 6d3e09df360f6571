-- +goose Up
-- Times are milliseconds since 1970, UTC. Names that ignore case are stored
-- folded beside the document that has them as they came. Texts sort by their
-- bytes, whatever the database's own order is; flags are 0 and 1, as in SQLite.

CREATE TABLE org (
    id           TEXT COLLATE "C" PRIMARY KEY,
    name         TEXT COLLATE "C" NOT NULL,
    profile      TEXT COLLATE "C" NOT NULL,
    scim_enabled BIGINT NOT NULL,
    card_removal TEXT COLLATE "C" NOT NULL,
    sentinels    TEXT COLLATE "C" NOT NULL, -- JSON list
    created      BIGINT NOT NULL,
    config       BIGINT NOT NULL -- counts changes of the configuration
);

CREATE TABLE token (
    id      TEXT COLLATE "C" PRIMARY KEY,
    org     TEXT COLLATE "C" NOT NULL REFERENCES org (id),
    hash    BYTEA NOT NULL UNIQUE, -- SHA-256 of the secret, which is kept nowhere
    label   TEXT COLLATE "C" NOT NULL,
    created BIGINT NOT NULL
);
CREATE INDEX token_org ON token (org, id);

CREATE TABLE badge_type (
    org        TEXT COLLATE "C" NOT NULL REFERENCES org (id),
    id         TEXT COLLATE "C" NOT NULL,
    format     TEXT COLLATE "C" NOT NULL,
    facility   BIGINT,
    is_default BIGINT NOT NULL,
    shared     BIGINT NOT NULL,
    PRIMARY KEY (org, id)
);

CREATE TABLE site (
    id        TEXT COLLATE "C" PRIMARY KEY, -- across organisations: it names MQTT topics
    org       TEXT COLLATE "C" NOT NULL REFERENCES org (id),
    name      TEXT COLLATE "C" NOT NULL,
    agent_key TEXT COLLATE "C" NOT NULL,
    wallet    BIGINT NOT NULL,
    pilot     TEXT COLLATE "C" NOT NULL, -- JSON list
    pilot_ids TEXT COLLATE "C" NOT NULL, -- JSON list
    deleted   BIGINT NOT NULL,
    epoch     BIGINT NOT NULL,
    seq       BIGINT NOT NULL,
    hash      BYTEA NOT NULL,
    digest    BYTEA NOT NULL
);
CREATE INDEX site_org ON site (org, id);

CREATE TABLE site_item (
    site TEXT COLLATE "C" NOT NULL REFERENCES site (id),
    kind TEXT COLLATE "C" NOT NULL, -- door, group, schedule
    id   TEXT COLLATE "C" NOT NULL,
    doc  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (site, kind, id)
);

CREATE TABLE rule (
    site     TEXT COLLATE "C" NOT NULL REFERENCES site (id),
    id       TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    doc      TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (site, id)
);

CREATE TABLE person (
    id               TEXT COLLATE "C" PRIMARY KEY, -- sorts by creation
    org              TEXT COLLATE "C" NOT NULL REFERENCES org (id),
    origin           TEXT COLLATE "C" NOT NULL,
    user_name        TEXT COLLATE "C" NOT NULL,
    user_name_fold   TEXT COLLATE "C" NOT NULL,
    external_id      TEXT COLLATE "C" NOT NULL,
    name             TEXT COLLATE "C" NOT NULL,
    name_fold        TEXT COLLATE "C" NOT NULL,
    active           BIGINT NOT NULL,
    suspended        BIGINT NOT NULL,
    kind             TEXT COLLATE "C" NOT NULL,
    card_number      TEXT COLLATE "C" NOT NULL,
    card_number_fold TEXT COLLATE "C" NOT NULL,
    manager          TEXT COLLATE "C" NOT NULL,
    card_last        TEXT COLLATE "C" NOT NULL,
    card_state       TEXT COLLATE "C" NOT NULL,
    card_text        TEXT COLLATE "C" NOT NULL,
    issues           TEXT COLLATE "C" NOT NULL, -- JSON list
    doc              TEXT COLLATE "C" NOT NULL, -- SCIM attributes
    created          BIGINT NOT NULL,
    modified         BIGINT NOT NULL,
    version          BIGINT NOT NULL
);
-- An index entry has at most 2,700 bytes, so what a directory may send at any
-- length is looked up by its beginning; what is stored folded is short already.
CREATE INDEX person_org ON person (org, origin, id);
CREATE UNIQUE INDEX person_user_name ON person (org, user_name_fold) WHERE user_name_fold <> '';
CREATE INDEX person_external ON person (org, substr(external_id, 1, 500), id) WHERE external_id <> '';
CREATE INDEX person_name ON person (org, name_fold, id);
CREATE INDEX person_card ON person (org, card_number_fold, id) WHERE card_number_fold <> '';
CREATE INDEX person_manager ON person (org, substr(manager, 1, 500), id) WHERE manager <> '';

CREATE TABLE person_email (
    org    TEXT COLLATE "C" NOT NULL,
    value  TEXT COLLATE "C" NOT NULL, -- folded
    person TEXT COLLATE "C" NOT NULL REFERENCES person (id) ON DELETE CASCADE
);
CREATE INDEX person_email_value ON person_email (org, substr(value, 1, 500), person);
CREATE INDEX person_email_person ON person_email (person);

CREATE TABLE card (
    id          TEXT COLLATE "C" PRIMARY KEY,
    org         TEXT COLLATE "C" NOT NULL REFERENCES org (id),
    person      TEXT COLLATE "C" NOT NULL REFERENCES person (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    origin      TEXT COLLATE "C" NOT NULL,
    status      TEXT COLLATE "C" NOT NULL,
    badge_type  TEXT COLLATE "C" NOT NULL,
    format      TEXT COLLATE "C" NOT NULL,
    bits        TEXT COLLATE "C" NOT NULL,
    facility    TEXT COLLATE "C" NOT NULL, -- decimal: numbers of 64 bits
    number      TEXT COLLATE "C" NOT NULL,
    shared      BIGINT NOT NULL,
    valid_from  BIGINT NOT NULL,
    valid_until BIGINT NOT NULL,
    created     BIGINT NOT NULL
);
CREATE INDEX card_person ON card (person, id);
CREATE INDEX card_bits ON card (org, bits);
CREATE UNIQUE INDEX card_unshared ON card (org, bits) WHERE shared = 0;

CREATE TABLE manual_member (
    person TEXT COLLATE "C" NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    site   TEXT COLLATE "C" NOT NULL REFERENCES site (id),
    grp    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (person, site, grp)
);
CREATE INDEX manual_member_site ON manual_member (site, grp);

CREATE TABLE outcome (
    person TEXT COLLATE "C" NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    site   TEXT COLLATE "C" NOT NULL REFERENCES site (id),
    rule   TEXT COLLATE "C" NOT NULL,
    groups TEXT COLLATE "C" NOT NULL, -- JSON list
    role   TEXT COLLATE "C" NOT NULL,
    ble    BIGINT NOT NULL,
    wallet BIGINT NOT NULL,
    PRIMARY KEY (person, site)
);
CREATE INDEX outcome_site ON outcome (site);

CREATE TABLE directory_group (
    id           TEXT COLLATE "C" PRIMARY KEY, -- sorts by creation
    org          TEXT COLLATE "C" NOT NULL REFERENCES org (id),
    display_name TEXT COLLATE "C" NOT NULL,
    name_fold    TEXT COLLATE "C" NOT NULL,
    external_id  TEXT COLLATE "C" NOT NULL,
    doc          TEXT COLLATE "C" NOT NULL,
    created      BIGINT NOT NULL,
    modified     BIGINT NOT NULL,
    version      BIGINT NOT NULL
);
CREATE INDEX directory_group_org ON directory_group (org, id);
-- The condition holds for all. It keeps the name from being a key that members
-- could refer to: else all who add members would be in the way of all who change
-- the group.
CREATE UNIQUE INDEX directory_group_name ON directory_group (org, name_fold) WHERE name_fold IS NOT NULL;
CREATE INDEX directory_group_external ON directory_group (org, substr(external_id, 1, 500), id) WHERE external_id <> '';

-- A member that is no person yet is a row like any other: it counts once there
-- is a person of that id.
CREATE TABLE directory_member (
    grp    TEXT COLLATE "C" NOT NULL REFERENCES directory_group (id) ON DELETE CASCADE,
    member TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (grp, member)
);
CREATE INDEX directory_member_member ON directory_member (member, grp);

CREATE TABLE site_record (
    site  TEXT COLLATE "C" NOT NULL REFERENCES site (id),
    kind  TEXT COLLATE "C" NOT NULL,
    key   TEXT COLLATE "C" NOT NULL,
    owner TEXT COLLATE "C" NOT NULL, -- the person whose doing it is, or nothing
    doc   BYTEA NOT NULL, -- canonical
    PRIMARY KEY (site, kind, key)
);
CREATE INDEX site_record_owner ON site_record (owner, site);
CREATE INDEX site_record_site_owner ON site_record (site, owner);

CREATE TABLE site_log (
    site    TEXT COLLATE "C" NOT NULL REFERENCES site (id),
    epoch   BIGINT NOT NULL,
    seq     BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    hash    BYTEA NOT NULL,
    payload BYTEA NOT NULL,
    PRIMARY KEY (site, epoch, seq)
);

CREATE TABLE site_state (
    site           TEXT COLLATE "C" PRIMARY KEY REFERENCES site (id),
    hello_at       BIGINT NOT NULL,
    up_at          BIGINT NOT NULL,
    software       TEXT COLLATE "C" NOT NULL,
    applied_epoch  BIGINT NOT NULL,
    applied_seq    BIGINT NOT NULL,
    applied_hash   BYTEA NOT NULL,
    applied_digest BYTEA NOT NULL,
    nack           TEXT COLLATE "C" NOT NULL,
    nack_at        BIGINT NOT NULL,
    proof          TEXT COLLATE "C" NOT NULL, -- JSON list
    proof_at       BIGINT NOT NULL
);

CREATE TABLE site_event (
    site        TEXT COLLATE "C" NOT NULL REFERENCES site (id),
    pos         BIGINT NOT NULL,
    event_epoch TEXT COLLATE "C" NOT NULL,
    n           BIGINT NOT NULL,
    doc         TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (site, pos)
);
CREATE UNIQUE INDEX site_event_once ON site_event (site, event_epoch, n);

-- People whose gains of access are still to be written to the sites' logs.
CREATE TABLE dirty (
    org    TEXT COLLATE "C" NOT NULL REFERENCES org (id),
    person TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (org, person)
);

CREATE TABLE audit (
    id      TEXT COLLATE "C" PRIMARY KEY, -- sorts by time
    org     TEXT COLLATE "C" NOT NULL REFERENCES org (id),
    at      BIGINT NOT NULL,
    who     TEXT COLLATE "C" NOT NULL,
    what    TEXT COLLATE "C" NOT NULL,
    object  TEXT COLLATE "C" NOT NULL,
    name    TEXT COLLATE "C" NOT NULL,
    changes TEXT COLLATE "C" NOT NULL, -- JSON object
    error   TEXT COLLATE "C" NOT NULL
);
CREATE INDEX audit_org ON audit (org, id);

-- What writes takes this table, shared or alone, before it looks at anything.
-- It has no rows.
CREATE TABLE turn (id BIGINT PRIMARY KEY);

-- A process that lives, and for how long if it says nothing more. SQLite's has
-- no need of this and the next table.
CREATE TABLE publisher (
    id    TEXT COLLATE "C" PRIMARY KEY, -- another one at each start
    until TIMESTAMPTZ NOT NULL
);

-- Which process serves a site. One whose publisher is not among the living is
-- free.
CREATE TABLE lease (
    site      TEXT COLLATE "C" PRIMARY KEY,
    publisher TEXT COLLATE "C" NOT NULL,
    fence     BIGINT NOT NULL, -- how often it changed hands
    leaving   BOOLEAN NOT NULL DEFAULT FALSE -- its publisher gives it up
);
CREATE INDEX lease_publisher ON lease (publisher);

-- +goose Down
DROP TABLE lease;
DROP TABLE publisher;
DROP TABLE turn;
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

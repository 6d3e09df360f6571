-- +goose Up
-- Who is at the admin's pages, and who may be.

CREATE TABLE administrator (
    org     TEXT COLLATE "C" NOT NULL REFERENCES org (id),
    email   TEXT COLLATE "C" NOT NULL, -- folded
    role    TEXT COLLATE "C" NOT NULL, -- owner, admin, viewer
    made    BIGINT NOT NULL,
    made_by TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL, -- the account at the sign-in provider; empty before it came
    PRIMARY KEY (org, email)
);

CREATE TABLE sign_in_code (
    hash    BYTEA PRIMARY KEY, -- SHA-256 of the code, which is kept nowhere
    org     TEXT COLLATE "C" NOT NULL REFERENCES org (id),
    label   TEXT COLLATE "C" NOT NULL, -- its first letters, which are no secret
    made    BIGINT NOT NULL,
    made_by TEXT COLLATE "C" NOT NULL,
    expires BIGINT NOT NULL,
    used    BIGINT NOT NULL -- 0: not yet
);
CREATE INDEX sign_in_code_org ON sign_in_code (org);
CREATE INDEX sign_in_code_expires ON sign_in_code (expires);

CREATE TABLE session (
    hash    BYTEA PRIMARY KEY, -- SHA-256 of the cookie, which is kept nowhere
    org     TEXT COLLATE "C" NOT NULL REFERENCES org (id),
    email   TEXT COLLATE "C" NOT NULL, -- folded; empty for who came by a code
    name    TEXT COLLATE "C" NOT NULL,
    role    TEXT COLLATE "C" NOT NULL,
    code    TEXT COLLATE "C" NOT NULL, -- label
    person  TEXT COLLATE "C" NOT NULL, -- in the directory when it began
    changes BIGINT NOT NULL, -- of the person then
    began   BIGINT NOT NULL,
    seen    BIGINT NOT NULL, -- last request, to the minute
    ends    BIGINT NOT NULL, -- whatever happens
    until   BIGINT NOT NULL -- ends without another request
);
CREATE INDEX session_account ON session (org, email);
CREATE INDEX session_until ON session (until);

-- +goose Down
DROP TABLE session;
DROP TABLE sign_in_code;
DROP TABLE administrator;

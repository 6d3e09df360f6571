-- +goose Up
-- Who is at the admin's pages, and who may be.

CREATE TABLE administrator (
    org     TEXT NOT NULL REFERENCES org (id),
    email   TEXT NOT NULL, -- folded
    role    TEXT NOT NULL, -- owner, admin, viewer
    made    INTEGER NOT NULL,
    made_by TEXT NOT NULL,
    subject TEXT NOT NULL, -- the account at the sign-in provider; empty before it came
    PRIMARY KEY (org, email)
) STRICT;

CREATE TABLE sign_in_code (
    hash    BLOB PRIMARY KEY, -- SHA-256 of the code, which is kept nowhere
    org     TEXT NOT NULL REFERENCES org (id),
    label   TEXT NOT NULL, -- its first letters, which are no secret
    made    INTEGER NOT NULL,
    made_by TEXT NOT NULL,
    expires INTEGER NOT NULL,
    used    INTEGER NOT NULL -- 0: not yet
) STRICT;
CREATE INDEX sign_in_code_org ON sign_in_code (org);
CREATE INDEX sign_in_code_expires ON sign_in_code (expires);

CREATE TABLE session (
    hash    BLOB PRIMARY KEY, -- SHA-256 of the cookie, which is kept nowhere
    org     TEXT NOT NULL REFERENCES org (id),
    email   TEXT NOT NULL, -- folded; empty for who came by a code
    name    TEXT NOT NULL,
    role    TEXT NOT NULL,
    code    TEXT NOT NULL, -- label
    person  TEXT NOT NULL, -- in the directory when it began
    changes INTEGER NOT NULL, -- of the person then
    began   INTEGER NOT NULL,
    seen    INTEGER NOT NULL, -- last request, to the minute
    ends    INTEGER NOT NULL, -- whatever happens
    until   INTEGER NOT NULL -- ends without another request
) STRICT;
CREATE INDEX session_account ON session (org, email);
CREATE INDEX session_until ON session (until);

-- +goose Down
DROP TABLE session;
DROP TABLE sign_in_code;
DROP TABLE administrator;

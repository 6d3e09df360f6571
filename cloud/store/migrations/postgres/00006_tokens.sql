-- +goose Up
-- When a token was used last and by whom, and until when it is good.

ALTER TABLE token ADD COLUMN expires BIGINT NOT NULL DEFAULT 0; -- 0: never
ALTER TABLE token ADD COLUMN last_used BIGINT NOT NULL DEFAULT 0;
ALTER TABLE token ADD COLUMN last_client TEXT COLLATE "C" NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE token DROP COLUMN last_client;
ALTER TABLE token DROP COLUMN last_used;
ALTER TABLE token DROP COLUMN expires;

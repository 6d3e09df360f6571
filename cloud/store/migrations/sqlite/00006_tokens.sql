-- +goose Up
-- When a token was used last and by whom, and until when it is good.

ALTER TABLE token ADD COLUMN expires INTEGER NOT NULL DEFAULT 0; -- 0: never
ALTER TABLE token ADD COLUMN last_used INTEGER NOT NULL DEFAULT 0;
ALTER TABLE token ADD COLUMN last_client TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE token DROP COLUMN last_client;
ALTER TABLE token DROP COLUMN last_used;
ALTER TABLE token DROP COLUMN expires;

-- +goose Up
-- When a site was told of something, and when it confirmed it; how often the
-- role of a person at the admin page changed.

ALTER TABLE site_record ADD COLUMN seq BIGINT NOT NULL DEFAULT 0; -- 0: before this was kept
ALTER TABLE site_log ADD COLUMN acked BIGINT NOT NULL DEFAULT 0;
ALTER TABLE person ADD COLUMN role_changes BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE person DROP COLUMN role_changes;
ALTER TABLE site_log DROP COLUMN acked;
ALTER TABLE site_record DROP COLUMN seq;

ALTER TABLE item_versions
  MODIFY from_point INT UNSIGNED NOT NULL,
  MODIFY to_point INT UNSIGNED NOT NULL DEFAULT 4294967295,
  MODIFY full_walk INT UNSIGNED NOT NULL,
  DROP KEY item_versions_key,
  ADD KEY item_versions_key (chain_id, item_key(4));
UPDATE item_versions SET to_point = 4294967295 WHERE to_point = 16777215;
UPDATE container_versions SET to_point = 4294967295 WHERE to_point = 16777215;
ALTER TABLE container_versions ALTER COLUMN to_point SET DEFAULT 4294967295;
UPDATE issues SET next_point = 4294967295 WHERE next_point = 16777215;

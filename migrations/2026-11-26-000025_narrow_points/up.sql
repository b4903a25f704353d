-- Points and walks of a chain are counted in three bytes instead of four: sixteen million of them, which are thirty years
-- of one a minute. They stand in every version and in the index for browsing. An end that is open is the greatest number
-- of its column: what is greater than 16777215 becomes that, which is why nothing is refused here.
SET STATEMENT sql_mode = '' FOR ALTER TABLE item_versions
  MODIFY from_point MEDIUMINT UNSIGNED NOT NULL,
  MODIFY to_point MEDIUMINT UNSIGNED NOT NULL DEFAULT 16777215,
  MODIFY full_walk MEDIUMINT UNSIGNED NOT NULL,
  -- Three bytes of a key lead to few other items of a chain.
  DROP KEY item_versions_key,
  ADD KEY item_versions_key (chain_id, item_key(3));
UPDATE container_versions SET to_point = 16777215 WHERE to_point = 4294967295;
ALTER TABLE container_versions ALTER COLUMN to_point SET DEFAULT 16777215;
UPDATE issues SET next_point = 16777215 WHERE next_point = 4294967295;

ALTER TABLE search_pages DROP KEY search_pages_days, DROP COLUMN oldest, DROP COLUMN newest;

-- An older version reads what is in the same pack as the properties only where it says so itself.
UPDATE item_versions SET content_pack = properties_pack WHERE content_pack IS NULL AND content_blob IS NOT NULL;
ALTER TABLE item_versions
  DROP KEY item_versions_key,
  DROP KEY item_versions_browse,
  ADD UNIQUE KEY item_versions_key (chain_id, item_key, from_point),
  ADD KEY item_versions_browse (chain_id, container_id, parent_key, item_time, version_number);

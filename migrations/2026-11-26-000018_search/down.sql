DROP TABLE search_words, search_pages;
ALTER TABLE item_versions
  DROP PRIMARY KEY,
  DROP KEY item_versions_key,
  DROP KEY item_versions_browse,
  DROP COLUMN version_number,
  ADD PRIMARY KEY (chain_id, item_key, from_point),
  ADD KEY item_versions_browse (chain_id, container_id, parent_key, item_time, item_key);

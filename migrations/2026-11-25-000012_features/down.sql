ALTER TABLE chains DROP COLUMN options;
ALTER TABLE policies DROP COLUMN options;
ALTER TABLE issues DROP COLUMN skipped;
ALTER TABLE item_versions
  DROP KEY item_versions_browse,
  ADD KEY item_versions_browse (chain_id, container_id, item_time, item_key);
ALTER TABLE item_versions DROP COLUMN parent_key;

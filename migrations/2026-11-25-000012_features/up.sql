-- The item that holds an item, such as the folder of a file. Empty: it stands directly in its container.
ALTER TABLE item_versions ADD COLUMN parent_key VARBINARY(16) NOT NULL DEFAULT '' AFTER container_id;
ALTER TABLE item_versions
  DROP KEY item_versions_browse,
  ADD KEY item_versions_browse (chain_id, container_id, parent_key, item_time, item_key);

-- A skipped item has a documented permanent cause: it is not asked for again until the service reports it anew.
ALTER TABLE issues ADD COLUMN skipped BOOLEAN NOT NULL DEFAULT FALSE AFTER reason;

-- What of a feature is captured: JSON by feature. A chain remembers those of its last backup
-- for its own feature; nothing: the default ones.
ALTER TABLE policies ADD COLUMN options TEXT NOT NULL DEFAULT '{}';
ALTER TABLE chains ADD COLUMN options TEXT NOT NULL DEFAULT '';

ALTER TABLE blobs
  -- When collection found that no item needs the blob; means something in state 1 only.
  ADD COLUMN condemned_at DATETIME(3) NULL,
  -- What is alive in a pack is counted by the index alone.
  DROP KEY blobs_pack,
  ADD KEY blobs_pack (pack_id, state, bytes);

ALTER TABLE packs
  -- When compaction emptied the pack; NULL again once its file is gone.
  ADD COLUMN dead_at DATETIME(3) NULL,
  -- What the pack's index says of its content, uncompressed: all blobs, and those that have no row in blobs. NULL until
  -- collection read it, which it does for packs that hold something dead.
  ADD COLUMN plain_bytes BIGINT UNSIGNED NULL,
  ADD COLUMN own_bytes BIGINT UNSIGNED NULL,
  ADD COLUMN n_own INT UNSIGNED NULL,
  ADD KEY packs_moved_to (moved_to),
  ADD KEY packs_state (storage_id, state, id);

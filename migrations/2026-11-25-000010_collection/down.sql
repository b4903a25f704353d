ALTER TABLE packs DROP KEY packs_moved_to, DROP KEY packs_state, DROP COLUMN dead_at, DROP COLUMN plain_bytes,
  DROP COLUMN own_bytes, DROP COLUMN n_own;
ALTER TABLE blobs DROP COLUMN condemned_at, DROP KEY blobs_pack, ADD KEY blobs_pack (pack_id);

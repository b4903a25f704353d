ALTER TABLE restore_points DROP KEY restore_points_state;
ALTER TABLE chains DROP COLUMN policy_id, DROP KEY chains_storage;
DROP TABLE retentions;

-- What one chain has to do with a restore: how much was asked for, and how far it has come. Kept beside the outcomes, so
-- that nobody need count a million of them to show progress.
CREATE TABLE restore_parts (
  restore_id       BIGINT UNSIGNED NOT NULL,
  chain_id         INT UNSIGNED NOT NULL,
  point            INT UNSIGNED NOT NULL,
  target_resource  INT UNSIGNED NOT NULL,
  -- Items and bytes that were asked for; NULL until they are counted.
  asked            BIGINT UNSIGNED NULL,
  asked_bytes      BIGINT UNSIGNED NULL,
  -- What that takes: requests, bytes to send, and seconds by Microsoft's limits.
  requests         BIGINT UNSIGNED NOT NULL DEFAULT 0,
  upload_bytes     BIGINT UNSIGNED NOT NULL DEFAULT 0,
  seconds          BIGINT UNSIGNED NOT NULL DEFAULT 0,
  n_created        BIGINT UNSIGNED NOT NULL DEFAULT 0,
  n_updated        BIGINT UNSIGNED NOT NULL DEFAULT 0,
  n_skipped        BIGINT UNSIGNED NOT NULL DEFAULT 0,
  n_failed         BIGINT UNSIGNED NOT NULL DEFAULT 0,
  bytes            BIGINT UNSIGNED NOT NULL DEFAULT 0,
  PRIMARY KEY (restore_id, chain_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

INSERT INTO restore_parts (restore_id, chain_id, point, target_resource)
  SELECT id, chain_id, point, target_resource FROM restores;

UPDATE restore_parts
  JOIN (
    SELECT restore_id, chain_id, SUM(outcome = 'created') AS created, SUM(outcome = 'updated') AS updated,
      SUM(outcome = 'skipped') AS skipped, SUM(outcome = 'failed') AS failed, SUM(bytes) AS total
    FROM outcomes GROUP BY restore_id, chain_id
  ) AS told USING (restore_id, chain_id)
  SET n_created = created, n_updated = updated, n_skipped = skipped, n_failed = failed, bytes = total;

-- Ten thousand chosen items are more than the 64 KiB that it held.
ALTER TABLE restores MODIFY request MEDIUMTEXT NOT NULL;

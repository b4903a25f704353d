CREATE TABLE restores (
  id               BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  organization_id  INT UNSIGNED NOT NULL,
  chain_id         INT UNSIGNED NOT NULL,
  point            INT UNSIGNED NOT NULL,
  target_resource  INT UNSIGNED NOT NULL,
  -- What to bring back and where to, as JSON.
  request          TEXT NOT NULL,
  requested_by     VARCHAR(190) NOT NULL,
  created_at       DATETIME(3) NOT NULL,
  KEY restores_chain (chain_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

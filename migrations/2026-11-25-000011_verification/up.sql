-- How deep a pack was looked at when it was verified last, and the order in which packs take their turns.
ALTER TABLE packs
  ADD COLUMN verified_level TINYINT UNSIGNED NOT NULL DEFAULT 0,
  ADD KEY packs_verified (storage_id, state, verified_at);

-- What one verification task looked at. Attempts of the same task go on with its row.
CREATE TABLE verifications (
  task_id       BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  storage_id    INT UNSIGNED NOT NULL,
  level         TINYINT UNSIGNED NOT NULL,
  started_at    DATETIME(3) NOT NULL,
  finished_at   DATETIME(3) NULL,
  n_packs       BIGINT UNSIGNED NOT NULL DEFAULT 0,
  bytes         BIGINT UNSIGNED NOT NULL DEFAULT 0,
  -- Pack files that the catalog does not know: the collector's business.
  n_unknown     BIGINT UNSIGNED NOT NULL DEFAULT 0,
  -- Packs whose file could not be read, and items of the sample that could not be put together.
  n_unreadable  BIGINT UNSIGNED NOT NULL DEFAULT 0,
  n_sampled     BIGINT UNSIGNED NOT NULL DEFAULT 0,
  KEY verifications_storage (storage_id, task_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- Packs that were found damaged or missing and set aside (packs.state 'bad').
CREATE TABLE quarantines (
  pack_id      INT UNSIGNED NOT NULL PRIMARY KEY,
  storage_id   INT UNSIGNED NOT NULL,
  task_id      BIGINT UNSIGNED NOT NULL,
  what         VARCHAR(500) NOT NULL,
  -- Its index was unreadable: everything that only this pack held is lost. Else losses says what is.
  all_lost     BOOLEAN NOT NULL,
  n_lost       INT UNSIGNED NOT NULL,
  n_saved      INT UNSIGNED NOT NULL,
  found_at     DATETIME(3) NOT NULL,
  -- When the items were last searched for those that need it.
  scanned_at   DATETIME(3) NULL,
  KEY quarantines_storage (storage_id, pack_id),
  KEY quarantines_task (task_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE losses (
  storage_id  INT UNSIGNED NOT NULL,
  blob_id     BINARY(16) NOT NULL,
  pack_id     INT UNSIGNED NOT NULL,
  PRIMARY KEY (storage_id, blob_id, pack_id),
  KEY losses_pack (pack_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- Versions of items whose bytes are not all there any more. A version that was written anew under the same key has
-- other properties_pack, and the row means nothing then.
CREATE TABLE damaged_versions (
  chain_id         INT UNSIGNED NOT NULL,
  item_key         BINARY(16) NOT NULL,
  from_point       INT UNSIGNED NOT NULL,
  storage_id       INT UNSIGNED NOT NULL,
  properties_pack  INT UNSIGNED NOT NULL,
  -- The damaged pack.
  pack_id          INT UNSIGNED NOT NULL,
  found_at         DATETIME(3) NOT NULL,
  PRIMARY KEY (chain_id, item_key, from_point),
  KEY damaged_versions_storage (storage_id, chain_id, item_key, from_point)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

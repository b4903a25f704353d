CREATE TABLE storages (
  id          INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name        VARCHAR(190) NOT NULL,
  -- The kind of backend ('filesystem', 'nfs', 'cifs', 'vdo') and its settings as JSON.
  backend     VARCHAR(16) CHARACTER SET ascii NOT NULL,
  settings    TEXT NOT NULL,
  store_uuid  BINARY(16) NOT NULL,
  layout      VARCHAR(16) CHARACTER SET ascii NOT NULL,
  -- The master key, sealed with the instance key; NULL when the store is not encrypted.
  key_sealed  VARBINARY(256) NULL,
  created_at  DATETIME(3) NOT NULL,
  UNIQUE KEY storages_name (name),
  UNIQUE KEY storages_store_uuid (store_uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE writers (
  id            BINARY(16) NOT NULL PRIMARY KEY,
  storage_id    INT UNSIGNED NOT NULL,
  agent         VARCHAR(190) NOT NULL,
  -- 'alive' or 'dead'. A commit by a dead writer is refused, so its packs can be collected.
  state         VARCHAR(8) CHARACTER SET ascii NOT NULL,
  started_at    DATETIME(3) NOT NULL,
  heartbeat_at  DATETIME(3) NOT NULL,
  KEY writers_storage (storage_id, state),
  CONSTRAINT writers_storage_fk FOREIGN KEY (storage_id) REFERENCES storages (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE packs (
  id           INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  storage_id   INT UNSIGNED NOT NULL,
  uid          BINARY(16) NOT NULL,
  -- 'live', 'dead' (moved by compaction, file to be deleted), 'discarded' (orphan tombstone), 'bad' (quarantined).
  state        VARCHAR(12) CHARACTER SET ascii NOT NULL,
  bytes        BIGINT UNSIGNED NOT NULL,
  n_blobs      INT UNSIGNED NOT NULL,
  n_records    INT UNSIGNED NOT NULL,
  -- Where compaction moved what was live here.
  moved_to     INT UNSIGNED NULL,
  created_at   DATETIME(3) NOT NULL,
  verified_at  DATETIME(3) NULL,
  UNIQUE KEY packs_uid (storage_id, uid),
  CONSTRAINT packs_storage FOREIGN KEY (storage_id) REFERENCES storages (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- Content that can be shared: attachments, bodies, chunks. Headers and properties are found through their pack's own index.
CREATE TABLE blobs (
  storage_id    INT UNSIGNED NOT NULL,
  id            BINARY(16) NOT NULL,
  pack_id       INT UNSIGNED NOT NULL,
  bytes         INT UNSIGNED NOT NULL,
  -- 0 live, 1 condemned, 2 deleting
  state         TINYINT UNSIGNED NOT NULL,
  PRIMARY KEY (storage_id, id),
  KEY blobs_pack (pack_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE chains (
  id            INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  resource_id   INT UNSIGNED NOT NULL,
  feature       VARCHAR(24) CHARACTER SET ascii NOT NULL,
  storage_id    INT UNSIGNED NOT NULL,
  -- 'unprotected' (no sealed point yet), 'protected' or 'not_applicable' (the detail says why).
  state         VARCHAR(16) CHARACTER SET ascii NOT NULL,
  state_detail  VARCHAR(1000) NULL,
  last_point    INT UNSIGNED NOT NULL DEFAULT 0,
  sealed_at     DATETIME(3) NULL,
  created_at    DATETIME(3) NOT NULL,
  UNIQUE KEY chains_identity (resource_id, feature, storage_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE restore_points (
  chain_id    INT UNSIGNED NOT NULL,
  number      INT UNSIGNED NOT NULL,
  -- 'open' while its task works, then 'sealed'. Only a sealed point can be browsed and restored.
  state       VARCHAR(8) CHARACTER SET ascii NOT NULL,
  run_id      BIGINT UNSIGNED NULL,
  task_id     BIGINT UNSIGNED NULL,
  started_at  DATETIME(3) NOT NULL,
  sealed_at   DATETIME(3) NULL,
  n_items     BIGINT UNSIGNED NOT NULL DEFAULT 0,
  n_added     BIGINT UNSIGNED NOT NULL DEFAULT 0,
  n_changed   BIGINT UNSIGNED NOT NULL DEFAULT 0,
  n_removed   BIGINT UNSIGNED NOT NULL DEFAULT 0,
  n_issues    BIGINT UNSIGNED NOT NULL DEFAULT 0,
  bytes_read   BIGINT UNSIGNED NOT NULL DEFAULT 0,
  bytes_stored BIGINT UNSIGNED NOT NULL DEFAULT 0,
  PRIMARY KEY (chain_id, number)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE containers (
  id           INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  chain_id     INT UNSIGNED NOT NULL,
  graph_id     VARCHAR(512) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  well_known   VARCHAR(32) CHARACTER SET ascii NULL,
  -- The walk that ended last (its delta token) and, while one is under way, where to resume it.
  cursor_since   BLOB NULL,
  cursor_resume  BLOB NULL,
  -- How many full walks of it were begun, and whether the last one is under way: at its end, what it did not meet is
  -- closed.
  full_walks     INT UNSIGNED NOT NULL DEFAULT 0,
  walking        BOOLEAN NOT NULL DEFAULT FALSE,
  n_service      BIGINT UNSIGNED NULL,
  UNIQUE KEY containers_graph_id (chain_id, graph_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE container_versions (
  container_id  INT UNSIGNED NOT NULL,
  from_point    INT UNSIGNED NOT NULL,
  to_point      INT UNSIGNED NOT NULL DEFAULT 4294967295,
  chain_id      INT UNSIGNED NOT NULL,
  -- NULL for a container at the top.
  parent_id     INT UNSIGNED NULL,
  name          VARCHAR(512) NOT NULL,
  hidden        BOOLEAN NOT NULL,
  PRIMARY KEY (container_id, from_point),
  KEY container_versions_chain (chain_id, to_point)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- What each point changed about what is directly in a container: summed up to a point, it is what the container holds.
CREATE TABLE container_tallies (
  container_id  INT UNSIGNED NOT NULL,
  point         INT UNSIGNED NOT NULL,
  items         BIGINT NOT NULL,
  bytes         BIGINT NOT NULL,
  PRIMARY KEY (container_id, point)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- One row a version of an item, valid over [from_point, to_point). Kept narrow: see docs/ARCHITECTURE.md.
CREATE TABLE item_versions (
  chain_id         INT UNSIGNED NOT NULL,
  -- The first 16 bytes of BLAKE3 of the item's Graph id.
  item_key         BINARY(16) NOT NULL,
  from_point       INT UNSIGNED NOT NULL,
  to_point         INT UNSIGNED NOT NULL DEFAULT 4294967295,
  container_id     INT UNSIGNED NOT NULL,
  -- The full walk of its container that met this item last: a full walk closes what it did not meet.
  full_walk        INT UNSIGNED NOT NULL,
  kind             TINYINT UNSIGNED NOT NULL,
  flags            SMALLINT UNSIGNED NOT NULL,
  -- Tells whether the properties changed: the first 8 bytes of BLAKE3 of Graph's change key.
  change_tag       BIGINT UNSIGNED NOT NULL,
  name             VARCHAR(255) NOT NULL,
  party            VARCHAR(190) NOT NULL,
  item_time        DATETIME NOT NULL,
  bytes            BIGINT UNSIGNED NOT NULL,
  properties_pack  INT UNSIGNED NOT NULL,
  properties_blob  BINARY(16) NOT NULL,
  content_pack     INT UNSIGNED NULL,
  content_blob     BINARY(16) NULL,
  -- The ids of the shared blobs that the content is made of, 16 bytes each.
  refs             MEDIUMBLOB NULL,
  PRIMARY KEY (chain_id, item_key, from_point),
  KEY item_versions_browse (chain_id, container_id, item_time, item_key)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE issues (
  chain_id      INT UNSIGNED NOT NULL,
  item_key      BINARY(16) NOT NULL,
  container_id  INT UNSIGNED NOT NULL,
  graph_id      VARCHAR(1024) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  name          VARCHAR(255) NOT NULL,
  reason        VARCHAR(64) CHARACTER SET ascii NOT NULL,
  message       VARCHAR(1000) NOT NULL,
  attempts      INT UNSIGNED NOT NULL,
  first_point   INT UNSIGNED NOT NULL,
  last_point    INT UNSIGNED NOT NULL,
  first_at      DATETIME(3) NOT NULL,
  last_at       DATETIME(3) NOT NULL,
  PRIMARY KEY (chain_id, item_key)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- What a restore did with each item: the report, and what a resumed restore need not ask the target about.
CREATE TABLE outcomes (
  restore_id  BIGINT UNSIGNED NOT NULL,
  chain_id    INT UNSIGNED NOT NULL,
  item_key    BINARY(16) NOT NULL,
  -- 'created', 'skipped' (already there) or 'failed'
  outcome     VARCHAR(12) CHARACTER SET ascii NOT NULL,
  remark      VARCHAR(1000) NULL,
  bytes       BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (restore_id, chain_id, item_key)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

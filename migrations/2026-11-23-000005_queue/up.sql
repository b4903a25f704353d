CREATE TABLE agents (
  id            INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name          VARCHAR(190) NOT NULL,
  host          VARCHAR(190) NOT NULL,
  version       VARCHAR(32) CHARACTER SET ascii NOT NULL,
  workers       INT UNSIGNED NOT NULL,
  -- 'active', 'paused' or 'draining'
  state         VARCHAR(12) CHARACTER SET ascii NOT NULL,
  started_at    DATETIME(3) NOT NULL,
  heartbeat_at  DATETIME(3) NOT NULL,
  UNIQUE KEY agents_name (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE tasks (
  id                BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  kind              VARCHAR(24) CHARACTER SET ascii NOT NULL,
  -- 'queued', 'leased', 'succeeded', 'failed' or 'cancelled'
  state             VARCHAR(12) CHARACTER SET ascii NOT NULL,
  priority          TINYINT UNSIGNED NOT NULL,
  organization_id   INT UNSIGNED NOT NULL,
  tenant_id         INT UNSIGNED NULL,
  resource_id       INT UNSIGNED NULL,
  run_id            BIGINT UNSIGNED NULL,
  restore_id        BIGINT UNSIGNED NULL,
  -- What to do, as JSON that the kind tells how to read.
  work              MEDIUMTEXT NOT NULL,
  -- At most one unfinished task has an open key: what is queued or leased already is not queued again.
  open_key          VARCHAR(96) CHARACTER SET ascii COLLATE ascii_bin NULL,
  -- At most one leased task holds a key: held_key repeats it while leased, and is unique.
  exclusive_key     VARCHAR(96) CHARACTER SET ascii COLLATE ascii_bin NULL,
  held_key          VARCHAR(96) CHARACTER SET ascii COLLATE ascii_bin NULL,
  not_before        DATETIME(6) NOT NULL,
  attempts          INT UNSIGNED NOT NULL DEFAULT 0,
  epoch             INT UNSIGNED NOT NULL DEFAULT 0,
  agent_id          INT UNSIGNED NULL,
  expires_at        DATETIME(6) NULL,
  cancel_requested  BOOLEAN NOT NULL DEFAULT FALSE,
  phase             VARCHAR(64) NOT NULL DEFAULT '',
  items_done        BIGINT UNSIGNED NOT NULL DEFAULT 0,
  items_total       BIGINT UNSIGNED NULL,
  bytes_done        BIGINT UNSIGNED NOT NULL DEFAULT 0,
  waits_for         VARCHAR(255) NULL,
  last_error        VARCHAR(2000) NULL,
  result            MEDIUMTEXT NULL,
  n_issues          BIGINT UNSIGNED NOT NULL DEFAULT 0,
  created_at        DATETIME(6) NOT NULL,
  started_at        DATETIME(6) NULL,
  finished_at       DATETIME(6) NULL,
  UNIQUE KEY tasks_open_key (open_key),
  UNIQUE KEY tasks_held_key (held_key),
  -- A lane is what has the first five of these in common; a lease reads the head of a lane.
  KEY tasks_ready (state, organization_id, tenant_id, priority, kind, not_before),
  KEY tasks_expiry (state, expires_at),
  KEY tasks_finished (finished_at),
  -- These two cover the counts that a progress bar asks for every second.
  KEY tasks_run (run_id, state, items_done, bytes_done, n_issues),
  KEY tasks_restore (restore_id, state, items_done, bytes_done, n_issues)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- Every lane that ever had a task, so that a lease asks each for its head instead of looking for the lanes among
-- hundreds of thousands of tasks. Written by whoever queues tasks, before they can be seen.
CREATE TABLE lanes (
  organization_id  INT UNSIGNED NOT NULL,
  -- 0: the tasks of no tenant.
  tenant_id        INT UNSIGNED NOT NULL,
  priority         TINYINT UNSIGNED NOT NULL,
  kind             VARCHAR(24) CHARACTER SET ascii NOT NULL,
  PRIMARY KEY (organization_id, tenant_id, priority, kind)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- A drill: a sample of each feature is restored into a sandbox, compared with the backup, and deleted there again.
CREATE TABLE rehearsals (
  id                BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  organization_id   INT UNSIGNED NOT NULL,
  sandbox_resource  INT UNSIGNED NOT NULL,
  -- The same seed draws the same sample from the same points.
  seed              BIGINT UNSIGNED NOT NULL,
  per_feature       INT UNSIGNED NOT NULL,
  restore_id        BIGINT UNSIGNED NOT NULL,
  -- The task that compares and clears.
  task_id           BIGINT UNSIGNED NOT NULL,
  cancel_requested  BOOLEAN NOT NULL DEFAULT FALSE,
  requested_by      VARCHAR(190) NOT NULL,
  created_at        DATETIME(3) NOT NULL,
  finished_at       DATETIME(3) NULL,
  KEY rehearsals_organization (organization_id, id),
  KEY rehearsals_restore (restore_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- How one chain did in a rehearsal. Kept for good: scores over time are what rehearsals are for.
CREATE TABLE rehearsal_scores (
  rehearsal_id  BIGINT UNSIGNED NOT NULL,
  chain_id      INT UNSIGNED NOT NULL,
  point         INT UNSIGNED NOT NULL,
  feature       VARCHAR(24) CHARACTER SET ascii NOT NULL,
  n_sampled     INT UNSIGNED NOT NULL,
  n_compared    INT UNSIGNED NOT NULL DEFAULT 0,
  -- Not there, or not to be read; and those that Microsoft lets nobody bring back.
  n_missing     INT UNSIGNED NOT NULL DEFAULT 0,
  n_left_out    INT UNSIGNED NOT NULL DEFAULT 0,
  -- Fields that should have come back, and those that did.
  n_fields      BIGINT UNSIGNED NOT NULL DEFAULT 0,
  n_back        BIGINT UNSIGNED NOT NULL DEFAULT 0,
  -- Why it could not be compared.
  remark        VARCHAR(1000) NULL,
  compared_at   DATETIME(3) NULL,
  -- What stays in the sandbox.
  stays         VARCHAR(1000) NULL,
  cleared_at    DATETIME(3) NULL,
  PRIMARY KEY (rehearsal_id, chain_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- Which fields of which items differ, never what is in them.
CREATE TABLE rehearsal_differences (
  id            BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  rehearsal_id  BIGINT UNSIGNED NOT NULL,
  chain_id      INT UNSIGNED NOT NULL,
  item_key      BINARY(16) NOT NULL,
  field         VARCHAR(190) NOT NULL,
  -- Which property of the field, where it has several.
  part          VARCHAR(190) NOT NULL,
  KEY rehearsal_differences_rehearsal (rehearsal_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE rehearsal_plans (
  organization_id     INT UNSIGNED NOT NULL PRIMARY KEY,
  sandbox_resource    INT UNSIGNED NOT NULL,
  per_feature         INT UNSIGNED NOT NULL,
  although_protected  BOOLEAN NOT NULL,
  cron                VARCHAR(190) CHARACTER SET ascii NOT NULL,
  time_zone           VARCHAR(64) CHARACTER SET ascii NOT NULL,
  next_fire_at        DATETIME(3) NULL,
  -- Why the last firing began nothing.
  last_problem        VARCHAR(1000) NULL,
  KEY rehearsal_plans_due (next_fire_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

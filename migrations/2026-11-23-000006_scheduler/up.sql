CREATE TABLE policies (
  id               INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  organization_id  INT UNSIGNED NOT NULL,
  name             VARCHAR(190) NOT NULL,
  storage_id       INT UNSIGNED NOT NULL,
  created_at       DATETIME(3) NOT NULL,
  UNIQUE KEY policies_name (organization_id, name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE schedules (
  id               INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  organization_id  INT UNSIGNED NOT NULL,
  policy_id        INT UNSIGNED NOT NULL,
  name             VARCHAR(190) NOT NULL,
  -- Who: JSON {"tenant":id,"everyone":true} or {"tenant":id,"resources":[ids]}, resolved when a run is planned.
  selection        MEDIUMTEXT NOT NULL,
  -- What: feature names, separated by commas.
  features         VARCHAR(190) CHARACTER SET ascii NOT NULL,
  -- When: a cron expression in an IANA time zone.
  cron             VARCHAR(190) CHARACTER SET ascii NOT NULL,
  time_zone        VARCHAR(64) CHARACTER SET ascii NOT NULL,
  enabled          BOOLEAN NOT NULL,
  next_fire_at     DATETIME(3) NULL,
  created_at       DATETIME(3) NOT NULL,
  UNIQUE KEY schedules_name (organization_id, name),
  KEY schedules_due (enabled, next_fire_at),
  CONSTRAINT schedules_policy FOREIGN KEY (policy_id) REFERENCES policies (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE runs (
  id               BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  organization_id  INT UNSIGNED NOT NULL,
  schedule_id      INT UNSIGNED NULL,
  -- The firing this run answers; (schedule, fire time) is unique, so two schedulers plan one run.
  fire_at          DATETIME(3) NULL,
  reason           VARCHAR(24) CHARACTER SET ascii NOT NULL,
  -- 'running', 'succeeded', 'incomplete', 'failed' or 'cancelled': derived from the tasks.
  state            VARCHAR(12) CHARACTER SET ascii NOT NULL,
  cancel_requested BOOLEAN NOT NULL DEFAULT FALSE,
  -- Told when the run was planned: tasks queued, tasks left out because the same backup was still unfinished, and
  -- selected resources that are gone.
  n_tasks          BIGINT UNSIGNED NOT NULL DEFAULT 0,
  n_skipped        BIGINT UNSIGNED NOT NULL DEFAULT 0,
  n_gone           BIGINT UNSIGNED NOT NULL DEFAULT 0,
  -- Told when the run was settled; until then the tasks are counted. Tasks may be forgotten, runs keep these.
  n_succeeded      BIGINT UNSIGNED NOT NULL DEFAULT 0,
  n_failed         BIGINT UNSIGNED NOT NULL DEFAULT 0,
  n_cancelled      BIGINT UNSIGNED NOT NULL DEFAULT 0,
  n_issues         BIGINT UNSIGNED NOT NULL DEFAULT 0,
  items_done       BIGINT UNSIGNED NOT NULL DEFAULT 0,
  bytes_done       BIGINT UNSIGNED NOT NULL DEFAULT 0,
  created_at       DATETIME(3) NOT NULL,
  finished_at      DATETIME(3) NULL,
  UNIQUE KEY runs_firing (schedule_id, fire_at),
  KEY runs_state (state)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- For how long a policy keeps restore points. 0: the rule is not set. A policy without a row, or without a rule, keeps
-- every point.
CREATE TABLE retentions (
  policy_id     INT UNSIGNED NOT NULL PRIMARY KEY,
  -- The newest points.
  keep_last     INT UNSIGNED NOT NULL,
  -- Every point sealed so many days before the newest one.
  keep_days     INT UNSIGNED NOT NULL,
  -- The newest point of each of so many days, weeks, months and years that have one.
  keep_daily    INT UNSIGNED NOT NULL,
  keep_weekly   INT UNSIGNED NOT NULL,
  keep_monthly  INT UNSIGNED NOT NULL,
  keep_yearly   INT UNSIGNED NOT NULL,
  CONSTRAINT retentions_policy FOREIGN KEY (policy_id) REFERENCES policies (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- The policy that says for how long the points of a chain are kept; NULL: all are kept.
ALTER TABLE chains
  ADD COLUMN policy_id INT UNSIGNED NULL,
  ADD KEY chains_storage (storage_id);

-- Two more states: 'given_up' by hand, not yet told to the storage; 'expiring', told to the storage, while the rows that
-- only this point needed are deleted.
ALTER TABLE restore_points ADD KEY restore_points_state (state, chain_id);

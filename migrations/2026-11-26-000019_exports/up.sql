CREATE TABLE exports (
  id                 BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  organization_id    INT UNSIGNED NOT NULL,
  -- What to hand out and in which form, as JSON.
  request            MEDIUMTEXT NOT NULL,
  -- Seals a download; sealed itself under the instance key, and forgotten when the download expires.
  passphrase_sealed  VARBINARY(1024) NULL,
  -- The task that writes it to a path. NULL: it is written while it is downloaded.
  task_id            BIGINT UNSIGNED NULL,
  requested_by       VARCHAR(190) NOT NULL,
  created_at         DATETIME(3) NOT NULL,
  -- Until when it can be downloaded. NULL: it is written to a path, and a task deletes it there.
  expires_at         DATETIME(3) NULL,
  KEY exports_expiry (expires_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- Who was given content, and who decided about that. Rows are added and never changed.
CREATE TABLE audit (
  id          BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  at          DATETIME(3) NOT NULL,
  admin_id    INT UNSIGNED NOT NULL,
  -- As the admin was called then.
  admin_name  VARCHAR(190) NOT NULL,
  -- Where the request came from.
  address     VARCHAR(64) CHARACTER SET ascii NOT NULL,
  action      VARCHAR(32) CHARACTER SET ascii NOT NULL,
  -- JSON that the action defines: ids, never names of people or things.
  details     TEXT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- FALSE: nobody is handed out content of chains under the policy, as files or to look at. Restores are not touched.
ALTER TABLE policies ADD COLUMN content_download BOOLEAN NOT NULL DEFAULT TRUE;

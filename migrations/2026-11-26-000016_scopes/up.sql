-- How each scope of a tenant stands with Microsoft's limits, as all agents know it. A row is forgotten once it says
-- nothing any more.
CREATE TABLE scopes (
  tenant_id     INT UNSIGNED NOT NULL,
  -- 'directory', 'drives', or 'mailbox:' and the user's object id.
  name          VARCHAR(96) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  -- No request of the scope leaves before this, by the database's clock (UTC); the reason is for people.
  fenced_until  DATETIME(6) NULL,
  reason        VARCHAR(255) NOT NULL DEFAULT '',
  -- What was used in the last minutes: JSON that `graph` reads.
  used          TEXT NOT NULL,
  forget_at     DATETIME(6) NOT NULL,
  PRIMARY KEY (tenant_id, name),
  KEY scopes_forget (forget_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

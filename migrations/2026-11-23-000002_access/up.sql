CREATE TABLE admins (
  id               INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name             VARCHAR(190) NOT NULL,
  role             VARCHAR(24) CHARACTER SET ascii NOT NULL,
  created_at       DATETIME(3) NOT NULL,
  UNIQUE KEY admins_name (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE api_tokens (
  id            INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  admin_id      INT UNSIGNED NOT NULL,
  name          VARCHAR(190) NOT NULL,
  -- BLAKE3 of a token of 256 random bits: nothing to guess, so no slow hash is needed.
  hash          BINARY(32) NOT NULL,
  created_at    DATETIME(3) NOT NULL,
  expires_at    DATETIME(3) NULL,
  last_used_at  DATETIME(3) NULL,
  UNIQUE KEY api_tokens_hash (hash),
  CONSTRAINT api_tokens_admin FOREIGN KEY (admin_id) REFERENCES admins (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

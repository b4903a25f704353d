CREATE TABLE organizations (
  id          INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name        VARCHAR(190) NOT NULL,
  created_at  DATETIME(3)  NOT NULL,
  UNIQUE KEY organizations_name (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE tenants (
  id                 INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  organization_id    INT UNSIGNED NOT NULL,
  name               VARCHAR(190) NOT NULL,
  -- The directory (tenant) id of Entra, or one of its domain names.
  entra_tenant_id    VARCHAR(190) CHARACTER SET ascii NOT NULL,
  client_id          VARCHAR(64) CHARACTER SET ascii NOT NULL,
  -- 'secret' or 'certificate'; the credential itself is sealed with the instance key.
  credential_kind    VARCHAR(16) CHARACTER SET ascii NOT NULL,
  credential_sealed  VARBINARY(16384) NOT NULL,
  -- 'unchecked', 'ready' or 'failing'; the detail says what to fix.
  state              VARCHAR(16) CHARACTER SET ascii NOT NULL,
  state_detail       VARCHAR(1000) NULL,
  checked_at         DATETIME(3) NULL,
  -- When the directory is to be read again.
  next_sync_at       DATETIME(3) NOT NULL,
  created_at         DATETIME(3) NOT NULL,
  UNIQUE KEY tenants_name (name),
  CONSTRAINT tenants_organization FOREIGN KEY (organization_id) REFERENCES organizations (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE resources (
  id          INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  tenant_id   INT UNSIGNED NOT NULL,
  -- The object id in the directory: stable, unlike the user principal name.
  graph_id    VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  kind        VARCHAR(24) CHARACTER SET ascii NOT NULL,
  name        VARCHAR(255) NOT NULL,
  address     VARCHAR(320) NOT NULL,
  -- 'active', 'disabled' (sign-in blocked) or 'deleted' (gone from the directory; backups stay).
  state       VARCHAR(16) CHARACTER SET ascii NOT NULL,
  seen_at     DATETIME(3) NOT NULL,
  created_at  DATETIME(3) NOT NULL,
  UNIQUE KEY resources_graph_id (tenant_id, graph_id),
  KEY resources_address (tenant_id, address),
  KEY resources_name (tenant_id, name),
  CONSTRAINT resources_tenant FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

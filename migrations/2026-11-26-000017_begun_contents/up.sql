-- Long content that is being stored in parts: which blobs its beginning is made of. No item refers to them yet, so they
-- may be collected; then that part is read again.
CREATE TABLE begun_contents (
  chain_id    INT UNSIGNED NOT NULL,
  item_key    BINARY(16) NOT NULL,
  part        INT UNSIGNED NOT NULL,
  -- Tells this content from any other that the item had or will have.
  content_tag BIGINT UNSIGNED NOT NULL,
  -- The point in which the part was stored.
  point       INT UNSIGNED NOT NULL,
  -- Ids of 16 bytes, each with the length of its blob in 4 bytes, the highest first.
  blobs       MEDIUMBLOB NOT NULL,
  PRIMARY KEY (chain_id, item_key, part)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

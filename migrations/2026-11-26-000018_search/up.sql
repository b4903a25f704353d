-- Versions lie in the order in which they were written, so that pages are filled to the end: rows that lie in the order
-- of random keys leave pages a third empty. Keys find them by an index, and the one for browsing carries no keys.
ALTER TABLE item_versions ADD COLUMN version_number INT UNSIGNED NOT NULL DEFAULT 0 AFTER chain_id;
UPDATE item_versions AS versions
  JOIN (
    SELECT chain_id, item_key, from_point,
      ROW_NUMBER() OVER (PARTITION BY chain_id ORDER BY from_point, item_key) AS version_number
    FROM item_versions
  ) AS numbered USING (chain_id, item_key, from_point)
  SET versions.version_number = numbered.version_number;
ALTER TABLE item_versions
  ALTER COLUMN version_number DROP DEFAULT,
  DROP PRIMARY KEY,
  DROP KEY item_versions_browse,
  ADD PRIMARY KEY (chain_id, version_number),
  ADD UNIQUE KEY item_versions_key (chain_id, item_key, from_point),
  ADD KEY item_versions_browse (chain_id, container_id, parent_key, item_time, version_number);

-- Texts of a chain that can be searched, a few thousand a row. Each is of one item, and stands for all versions of it
-- that show the same name, party and time.
CREATE TABLE search_pages (
  chain_id  INT UNSIGNED NOT NULL,
  page      INT UNSIGNED NOT NULL,
  -- For each text the day of its item, two bytes each.
  days      BLOB NOT NULL,
  -- For each text the beginning of its item's key and a check of what it shows, seven bytes each.
  texts     BLOB NOT NULL,
  PRIMARY KEY (chain_id, page)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- Which words stand in which texts of a page: see src/catalog/search/postings.rs. The words are dealt out to shelves, so
-- that a word is looked for in the rows of one shelf only, and these lie side by side.
CREATE TABLE search_words (
  shelf     TINYINT UNSIGNED NOT NULL,
  chain_id  INT UNSIGNED NOT NULL,
  page      INT UNSIGNED NOT NULL,
  postings  MEDIUMBLOB NOT NULL,
  PRIMARY KEY (shelf, chain_id, page)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- A search reads a row for each volume of a shelf instead of one for each page: what it costs is mostly rows. Words are
-- dealt out to twice as many shelves. What stands in the old ones does not tell on which of the new ones it belongs, so
-- the index begins anew: chains that have points are marked until `kodo rebuild-catalog` has written them from their storage.
DROP TABLE search_words;
CREATE TABLE search_words (
  shelf     TINYINT UNSIGNED NOT NULL,
  chain_id  INT UNSIGNED NOT NULL,
  -- Some pages of `search_pages` that follow each other.
  volume    INT UNSIGNED NOT NULL,
  postings  MEDIUMBLOB NOT NULL,
  PRIMARY KEY (shelf, chain_id, volume)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
DELETE FROM search_pages;
-- What was backed up so far is not found by a search.
ALTER TABLE chains ADD COLUMN unsearched BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE chains SET unsearched = TRUE WHERE last_point > 0;

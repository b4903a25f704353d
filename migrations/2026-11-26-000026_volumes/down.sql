DROP TABLE search_words;
CREATE TABLE search_words (
  shelf     TINYINT UNSIGNED NOT NULL,
  chain_id  INT UNSIGNED NOT NULL,
  page      INT UNSIGNED NOT NULL,
  postings  MEDIUMBLOB NOT NULL,
  PRIMARY KEY (shelf, chain_id, page)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
DELETE FROM search_pages;
ALTER TABLE chains DROP COLUMN unsearched;

-- Four bytes of a key tell the items of a chain apart; the rest is read from the rows that they lead to. What the index
-- for browsing saves no bytes on are the points: as of which point an item is shown is decided without its row, however
-- much came or went since.
ALTER TABLE item_versions
  DROP KEY item_versions_key,
  DROP KEY item_versions_browse,
  ADD KEY item_versions_key (chain_id, item_key(4)),
  ADD KEY item_versions_browse
    (chain_id, container_id, parent_key, item_time, version_number, from_point, to_point);

-- Between which days the texts of a page lie, in an index of a few bytes: pages that are too old for an answer are not
-- read. Of those that are there already it is not known, so that none of them is passed over.
ALTER TABLE search_pages
  ADD COLUMN oldest SMALLINT UNSIGNED NOT NULL DEFAULT 0 AFTER page,
  ADD COLUMN newest SMALLINT UNSIGNED NOT NULL DEFAULT 65535 AFTER oldest,
  ADD KEY search_pages_days (chain_id, page, oldest, newest);
ALTER TABLE search_pages ALTER COLUMN oldest DROP DEFAULT, ALTER COLUMN newest DROP DEFAULT;

-- The first point whose backup asks for the item again: what fails run after run is asked for ever more seldom.
-- 4294967295: not before the service reports it anew.
ALTER TABLE issues ADD COLUMN next_point INT UNSIGNED NOT NULL DEFAULT 0 AFTER last_point;
UPDATE issues SET next_point = 4294967295 WHERE skipped;

-- What the last listing of containers left out, and why: JSON, a list of names and reasons. Nothing: everything is in.
ALTER TABLE chains ADD COLUMN passed_over MEDIUMTEXT NOT NULL DEFAULT '';

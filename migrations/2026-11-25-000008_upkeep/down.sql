ALTER TABLE storages DROP COLUMN next_upkeep_at;

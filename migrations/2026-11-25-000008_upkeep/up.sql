-- When the tasks that keep a storage in order are queued next.
ALTER TABLE storages ADD COLUMN next_upkeep_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3);

DROP TABLE restore_parts;
ALTER TABLE restores MODIFY request TEXT NOT NULL;

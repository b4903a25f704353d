DROP TABLE restore_parts;

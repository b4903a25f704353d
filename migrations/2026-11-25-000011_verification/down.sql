DROP TABLE damaged_versions;
DROP TABLE losses;
DROP TABLE quarantines;
DROP TABLE verifications;
ALTER TABLE packs DROP KEY packs_verified, DROP COLUMN verified_level;

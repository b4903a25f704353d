DROP TABLE damaged_versions;
DROP TABLE lost_blobs;
DROP TABLE damaged_packs;
DROP TABLE verifications;
ALTER TABLE packs DROP KEY packs_verified, DROP COLUMN verified_level;

ALTER TABLE policies DROP COLUMN content_download;
DROP TABLE audit;
DROP TABLE exports;

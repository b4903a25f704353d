DROP TABLE blobs; DROP TABLE packs; DROP TABLE writers; DROP TABLE storages;

DROP TABLE begun_contents;

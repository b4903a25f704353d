DROP TABLE outcomes; DROP TABLE issues; DROP TABLE item_versions; DROP TABLE container_tallies; DROP TABLE container_versions; DROP TABLE containers; DROP TABLE restore_points; DROP TABLE chains;

DROP TABLE lanes;
DROP TABLE tasks; DROP TABLE agents;

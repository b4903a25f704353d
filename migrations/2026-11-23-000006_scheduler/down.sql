DROP TABLE runs; DROP TABLE schedules; DROP TABLE policies;

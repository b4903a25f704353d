DROP TABLE rehearsal_schedules;
DROP TABLE rehearsal_differences;
DROP TABLE rehearsal_scores;
DROP TABLE rehearsals;

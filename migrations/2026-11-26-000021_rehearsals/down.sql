DROP TABLE rehearsal_plans;
DROP TABLE rehearsal_differences;
DROP TABLE rehearsal_scores;
DROP TABLE rehearsals;

ALTER TABLE chains DROP COLUMN passed_over;
ALTER TABLE issues DROP COLUMN next_point;

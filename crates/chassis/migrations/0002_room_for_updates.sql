-- A claim and a request are written twice in one transaction: as a lock, then with what became of it. With room for the second
-- on the same page no index is touched again (a heap-only update), which was half of what a batch cost.
alter table chassis.claims set (fillfactor = 50);
alter table chassis.requests set (fillfactor = 50);

-- Every step of a saga moves its deadline. The table holds the open sagas and no more: it is scanned for what has passed.
alter table chassis.deadlines set (fillfactor = 50);
drop index chassis.deadlines_at;

-- A step of the saga writes its hold anew: with room for that on the same page no index is touched again (a heap-only update).
alter table holds set (fillfactor = 50);

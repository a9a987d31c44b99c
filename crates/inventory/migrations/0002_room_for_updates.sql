-- A step of the saga writes its reservation anew: with room for that on the same page no index is touched again (a heap-only update).
alter table reservations set (fillfactor = 50);

-- A step of the saga writes its shipment anew: with room for that on the same page no index is touched again (a heap-only update).
alter table shipments set (fillfactor = 50);

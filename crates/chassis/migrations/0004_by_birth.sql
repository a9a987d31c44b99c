-- Whatever is about a saga has an id that begins with its birth: what belongs to it is found by the key, in a range that holds
-- the sagas of one millisecond. Two indexes less are kept up with every input.
create function chassis.first_of(saga uuid) returns uuid language sql immutable parallel safe
    return (left(saga::text, 13) || '-0000-0000-000000000000')::uuid;
create function chassis.last_of(saga uuid) returns uuid language sql immutable parallel safe
    return (left(saga::text, 13) || '-ffff-ffff-ffffffffffff')::uuid;

drop index chassis.claims_saga;
drop index chassis.outbox_saga;

-- Four databases on one server, each a service's own. Run once, as superuser, when the cluster is made:
-- by the image's entry point, and by `ensemble` on native servers. Passwords come from the environment.

-- Nobody connects to what is not theirs: by default every role may connect everywhere.
revoke all on database postgres from public;
revoke all on database template1 from public;

\set service order
\getenv owner_password ORDER_OWNER_PASSWORD
\getenv password ORDER_PASSWORD
\ir database.psql

\set service inventory
\getenv owner_password INVENTORY_OWNER_PASSWORD
\getenv password INVENTORY_PASSWORD
\ir database.psql

\set service payment
\getenv owner_password PAYMENT_OWNER_PASSWORD
\getenv password PAYMENT_PASSWORD
\ir database.psql

\set service shipping
\getenv owner_password SHIPPING_OWNER_PASSWORD
\getenv password SHIPPING_PASSWORD
\ir database.psql

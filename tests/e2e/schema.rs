//! Every SQL statement is prepared against the schema that the services have migrated, by the role that sends it: a
//! misspelt column, or a right that is missing, is found here.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use ensemble::Service;
use libtest_mimic::Trial;
use sqlx::{Connection as _, Executor as _, PgConnection, SqlSafeStr as _};

use crate::world::{Shared, Trials, World};

pub(crate) fn trials(shared: &Arc<Shared>) -> Vec<Trial> {
    let mut trials = Trials::on(shared, "schema");
    trials.add("every_statement_is_prepared_by_the_role_that_sends_it", prepared);
    trials.all()
}

async fn prepared(world: Arc<World>) -> anyhow::Result<()> {
    for service in Service::ALL {
        let url = world.addresses.database_url(service);
        let statements = match service {
            Service::Order => chassis::statements::<order::Order>(),
            Service::Inventory => chassis::statements::<inventory::Inventory>(),
            Service::Payment => chassis::statements::<payment::Payment>(),
            Service::Shipping => chassis::statements::<shipping::Shipping>(),
        };
        ensure!(statements.len() > 10, "{service} hands over {} statements", statements.len());
        let mut db = PgConnection::connect(&url).await?;
        for (name, sql) in statements {
            (&mut db).prepare(sql.into_sql_str()).await.with_context(|| format!("{service}: {name}"))?;
        }
        db.close().await?;
    }
    Ok(())
}

//! The workflow: the seven steps of an order that goes well, in the order in which the dance takes them, and what takes
//! them back when one of them says no.

use dbos::step;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{Waiting, partners::Partners, store};

/// What was ordered.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Purchase {
    pub(crate) id: Uuid,
    pub(crate) body: Value,
}

/// What the four services of this program work with.
pub(crate) struct Shop {
    pub(crate) store: PgPool,
    pub(crate) partners: Partners,
}

/// Takes an order to its end.
pub(crate) async fn checkout(shop: &Shop, waiting: &Waiting, purchase: Purchase) -> Result<()> {
    let (id, db, partners) = (purchase.id, &shop.store, &shop.partners);
    let body = &purchase.body;
    let _told_at_the_end = Forget { waiting, id };
    let total: i64 = step("place", || async move { store::place(db, id, body).await.map_err(broken) }).await?;
    if !step("reserve", || async move { store::reserve(db, id, body).await.map_err(broken) }).await? {
        return end(db, id, "rejected").await;
    }
    let charge: Option<String> = step("authorize", || async move {
        let charge = partners.authorize(id, total, body).await.map_err(broken)?;
        store::hold(db, id, charge.as_deref()).await.map_err(broken)?;
        Ok(charge)
    })
    .await?;
    let Some(charge) = charge else {
        step("release", || async move { store::release(db, id).await.map_err(broken) }).await?;
        return end(db, id, "rejected").await;
    };
    let charge = charge.as_str();
    let booked: bool = step("book", || async move {
        let booking = partners.book(id, body).await.map_err(broken)?;
        store::ship(db, id, booking.as_deref()).await.map_err(broken)?;
        Ok(booking.is_some())
    })
    .await?;
    if !booked {
        step("void", || async move { partners.void(id, charge).await.map_err(broken) }).await?;
        step("release", || async move { store::release(db, id).await.map_err(broken) }).await?;
        return end(db, id, "rejected").await;
    }
    step("capture", || async move {
        partners.capture(id, charge, total).await.map_err(broken)?;
        store::captured(db, id).await.map_err(broken)
    })
    .await?;
    end(db, id, "confirmed").await?;
    if let Some(customer) = waiting.take(id) {
        // Who has gone meanwhile need not be told.
        let _ = customer.send(());
    }
    step("commit", || async move { store::commit(db, id).await.map_err(broken) }).await
}

async fn end(db: &PgPool, id: Uuid, status: &'static str) -> Result<()> {
    step("end", || async move { store::end(db, id, status).await.map_err(broken) }).await
}

/// What the world did not let happen. It ends the workflow, and the customer is told: the bench goes no further then.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
#[error("{0}")]
pub(crate) struct Broken(String);

type Result<T> = dbos::Result<T, Broken>;

fn broken(error: impl Into<anyhow::Error>) -> dbos::Error<Broken> {
    dbos::Error::Application(Broken(format!("{:#}", error.into())))
}

/// However a checkout ends, nobody is left waiting for it.
struct Forget<'a> {
    waiting: &'a Waiting,
    id: Uuid,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.waiting.take(self.id);
    }
}

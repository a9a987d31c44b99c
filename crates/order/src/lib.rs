//! Order takes a customer's order, prices it, and follows it until it stands or everything done for it is undone.
//!
//! It owns the orders, the ledger of what is owed to each of them, and the screen that says in plain words how one
//! stands. It promises that an order ends only when nobody has anything left to undo, that one which stands still is
//! given up and pressed for what is owed, and that the first cause recorded names the end. It does not know stock, cards
//! or carriers, and keeps neither addresses nor payment methods.

mod domain;
mod explanation;
mod reactions;
mod screen;

pub mod examples;

#[cfg(feature = "shell")]
mod api;
#[cfg(feature = "shell")]
mod store;

pub use domain::{
    Agreed, Asking, CancelOrder, Closed, Closes, ClosingWord, Orders, Overdue, PlaceOrder, Product, Purchase, Sale, Standing,
    Wish, recalled,
};
pub use explanation::explanation;
pub use reactions::{Call, Input, Order, step};
pub use screen::{
    Entry, OrderScreen, Owed, Own, Part, ServiceName, Status, Summary, Waiting, owed, own, reason, status, summary,
};

/// The shell: what the chassis runs.
#[cfg(feature = "shell")]
mod shell {
    use chassis::{House, Opening, Service, Writing, document, edge::ProblemPage};
    use events::{Event, SagaId};
    use sqlx::{PgPool, migrate::Migrator};
    use utoipa_axum::router::OpenApiRouter;

    use crate::{Input, Order, Orders, api, domain, screen, store};

    impl Service for Order {
        const DOES: &'static str = "Takes orders, and follows each until it stands or everything done for it is undone.";
        const DEFAULTS: &'static [(&'static str, &'static str)] =
            &[("HTTP_ADDR", "127.0.0.1:8080"), ("ADMIN_ADDR", "127.0.0.1:9080")];
        const PROBLEMS: &'static [ProblemPage] = api::PROBLEMS;
        const STATEMENTS: chassis::Statements = store::STATEMENTS;

        type Settings = screen::Settings;

        fn migrations() -> Migrator {
            sqlx::migrate!()
        }

        async fn load(opening: &mut Opening<'_>, records: &mut Orders) -> sqlx::Result<()> {
            store::load(opening, records).await
        }

        fn save(writing: &mut Writing, records: &Orders) {
            store::save(writing, records);
        }

        async fn state(pool: &PgPool, saga: SagaId) -> sqlx::Result<Option<serde_json::Value>> {
            document::shown(store::read(pool, saga).await?)
        }

        fn recalled(event: &Event) -> Option<Input> {
            domain::recalled(event)
        }

        async fn has_open_between(pool: &PgPool, first: SagaId, until: SagaId) -> sqlx::Result<bool> {
            store::has_open_between(pool, first, until).await
        }

        fn routes(house: House<Self>) -> OpenApiRouter {
            api::routes(house)
        }
    }
}

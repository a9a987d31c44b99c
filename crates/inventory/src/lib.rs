//! Inventory keeps the shelves: what there is, what is set aside for an order, what is sold.
//!
//! It owns the catalog, the count of every product and one reservation for each order. It promises that an order gets
//! all of its lines or none, that nothing is sold twice, and that what an order gives up is back on the shelf: for each
//! product, on hand + reserved + sold is what was ever received. It does not know who pays, nor where the goods go
//! beyond what it carries onward.

mod catalog;
mod domain;
mod reactions;

pub mod examples;

pub use catalog::first_catalog;

#[cfg(feature = "shell")]
mod api;
#[cfg(feature = "shell")]
mod store;

pub use domain::{
    AdjustStock, AnnounceProducts, IntroduceProduct, Pick, ProductView, PutProduct, RECEIVED_MAX, RecallProduct, Reservation,
    Shelves, Stock, recalled,
};
pub use reactions::{Call, Input, Inventory, step};

/// The shell: what the chassis runs.
#[cfg(feature = "shell")]
mod shell {
    use chassis::{House, Opening, Service, Writing, config::NoSettings, document, edge::ProblemPage};
    use events::{Event, SagaId};
    use sqlx::{PgPool, migrate::Migrator};
    use utoipa_axum::router::OpenApiRouter;

    use crate::{Input, Inventory, Shelves, api, store};

    impl Service for Inventory {
        const DOES: &'static str = "Keeps the shelves: what there is, what is set aside, what is sold.";
        const DEFAULTS: &'static [(&'static str, &'static str)] =
            &[("HTTP_ADDR", "127.0.0.1:8081"), ("ADMIN_ADDR", "127.0.0.1:9081")];
        const PROBLEMS: &'static [ProblemPage] = api::PROBLEMS;
        const STATEMENTS: chassis::Statements = store::STATEMENTS;

        type Settings = NoSettings;

        fn migrations() -> Migrator {
            sqlx::migrate!()
        }

        async fn load(opening: &mut Opening<'_>, records: &mut Shelves) -> sqlx::Result<()> {
            store::load(opening, records).await
        }

        fn save(writing: &mut Writing, records: &Shelves) {
            store::save(writing, records);
        }

        async fn state(pool: &PgPool, saga: SagaId) -> sqlx::Result<Option<serde_json::Value>> {
            document::shown(store::read_reservation(pool, saga).await?)
        }

        fn routes(house: House<Self>) -> OpenApiRouter {
            api::routes(house)
        }

        fn recalled(event: &Event) -> Option<Input> {
            crate::recalled(event)
        }

        fn seed(_: &Self::Settings) -> Vec<saga::batch::Arrived<Self>> {
            crate::first_catalog()
        }
    }
}

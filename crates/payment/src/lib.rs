//! Payment holds the customer's money, takes it once the goods are booked, and gives it back when the order fails.
//!
//! It owns one hold for each order and every call to the card gateway. It promises that nobody is charged twice, and
//! that whatever it took or held for an order that ends otherwise is given back, however long that takes. It does not
//! know prices, stock or addresses beyond what it carries onward.

mod domain;
mod reactions;

pub mod examples;

#[cfg(feature = "shell")]
mod api;
#[cfg(feature = "shell")]
mod calls;
#[cfg(feature = "shell")]
mod store;

pub use domain::{Authorization, AuthorizeCard, CaptureCharge, Hold, Holds, RefundCharge, Settlement, VoidCharge};
pub use reactions::{Call, Input, Payment, step};

/// The shell: what the chassis runs.
#[cfg(feature = "shell")]
mod shell {
    use chassis::{
        House, Opening, Service, Writing, calls::ClientError, document, edge::ProblemPage, service::Partner, telemetry::Metrics,
    };
    use events::SagaId;
    use sqlx::{PgPool, migrate::Migrator};
    use utoipa_axum::router::OpenApiRouter;

    use crate::{Holds, Payment, api, calls, store};

    impl Service for Payment {
        const DOES: &'static str = "Holds, takes and gives back the customer's money.";
        const DEFAULTS: &'static [(&'static str, &'static str)] =
            &[("HTTP_ADDR", "127.0.0.1:8082"), ("ADMIN_ADDR", "127.0.0.1:9082")];
        const PROBLEMS: &'static [ProblemPage] = api::PROBLEMS;
        const STATEMENTS: chassis::Statements = store::STATEMENTS;

        type Settings = calls::Settings;

        fn migrations() -> Migrator {
            sqlx::migrate!()
        }

        async fn load(opening: &mut Opening<'_>, records: &mut Holds) -> sqlx::Result<()> {
            store::load(opening, records).await
        }

        fn save(writing: &mut Writing, records: &Holds) {
            store::save(writing, records);
        }

        async fn state(pool: &PgPool, saga: SagaId) -> sqlx::Result<Option<serde_json::Value>> {
            document::shown(store::read(pool, saga).await?)
        }

        fn routes(house: House<Self>) -> OpenApiRouter {
            api::routes(house)
        }

        fn partner(settings: &Self::Settings, metrics: &Metrics) -> Result<Option<Box<dyn Partner<Self>>>, ClientError> {
            Ok(Some(Box::new(calls::CardGateway::new(settings, metrics)?)))
        }
    }
}

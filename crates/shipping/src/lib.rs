//! Shipping books the carrier, hands the goods over, and is the arbiter: it alone decides whether an order can still be
//! cancelled.
//!
//! It owns one shipment for each order and every call to the carrier. It promises that nothing is handed over that is not
//! paid, that nothing is handed over once it has said `cancelled`, and that what it books for an order that ends otherwise
//! is taken back. It does not know what is in the parcel, what it costs, nor who pays.

mod domain;
mod reactions;

pub mod examples;

#[cfg(feature = "shell")]
mod api;
#[cfg(feature = "shell")]
mod calls;
#[cfg(feature = "shell")]
mod store;

pub use domain::{BookShipment, Booked, CancelBooking, DispatchShipment, Shipment, ShipmentView, Shipments, TakenBack, recalled};
pub use reactions::{Call, Input, Shipping, step};

/// The shell: what the chassis runs.
#[cfg(feature = "shell")]
mod shell {
    use chassis::{
        House, Opening, Service, Writing, calls::ClientError, document, edge::ProblemPage, service::Partner, telemetry::Metrics,
    };
    use events::{Event, SagaId};
    use sqlx::{PgPool, migrate::Migrator};
    use utoipa_axum::router::OpenApiRouter;

    use crate::{Input, Shipments, Shipping, api, calls, domain, store};

    impl Service for Shipping {
        const DOES: &'static str = "Books the carrier, and decides between cancelling and handing over.";
        const DEFAULTS: &'static [(&'static str, &'static str)] =
            &[("HTTP_ADDR", "127.0.0.1:8083"), ("ADMIN_ADDR", "127.0.0.1:9083")];
        const PROBLEMS: &'static [ProblemPage] = api::PROBLEMS;
        const STATEMENTS: chassis::Statements = store::STATEMENTS;

        type Settings = calls::Settings;

        fn migrations() -> Migrator {
            sqlx::migrate!()
        }

        async fn load(opening: &mut Opening<'_>, records: &mut Shipments) -> sqlx::Result<()> {
            store::load(opening, records).await
        }

        fn save(writing: &mut Writing, records: &Shipments) {
            store::save(writing, records);
        }

        async fn state(pool: &PgPool, saga: SagaId) -> sqlx::Result<Option<serde_json::Value>> {
            document::shown(store::read(pool, saga).await?)
        }

        fn recalled(event: &Event) -> Option<Input> {
            domain::recalled(event)
        }

        fn routes(house: House<Self>) -> OpenApiRouter {
            api::routes(house)
        }

        fn partner(settings: &Self::Settings, metrics: &Metrics) -> Result<Option<Box<dyn Partner<Self>>>, ClientError> {
            Ok(Some(Box::new(calls::Carrier::new(settings, metrics)?)))
        }
    }
}

//! Loyalty gives points for what is ordered, and takes them back for what is paid back.

mod api;
mod domain;
mod reactions;
#[cfg(test)]
mod simulated;
mod store;

use chassis::{House, Service, Statements, config::NoSettings, edge::ProblemPage};
use domain::Cards;
use reactions::Loyalty;
use sqlx::{PgConnection, migrate::Migrator};
use utoipa_axum::router::OpenApiRouter;

impl Service for Loyalty {
    const DOES: &'static str = "Gives points for what is ordered.";
    const DEFAULTS: &'static [(&'static str, &'static str)] =
        &[("HTTP_ADDR", "127.0.0.1:8085"), ("ADMIN_ADDR", "127.0.0.1:9085")];
    const PROBLEMS: &'static [ProblemPage] = &[];
    const STATEMENTS: Statements = store::STATEMENTS;

    type Settings = NoSettings;

    fn migrations() -> Migrator {
        sqlx::migrate!()
    }

    async fn load(conn: &mut PgConnection, cards: &mut Cards) -> sqlx::Result<()> {
        store::load(conn, cards).await
    }

    async fn save(conn: &mut PgConnection, cards: &Cards) -> sqlx::Result<()> {
        store::save(conn, cards).await
    }

    fn routes(house: House<Self>) -> OpenApiRouter {
        api::routes(house)
    }
}

fn main() -> std::process::ExitCode {
    chassis::run::<Loyalty>()
}

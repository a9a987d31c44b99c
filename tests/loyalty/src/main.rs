//! Loyalty gives points for what is ordered, and takes them back for what is paid back.

mod api;
mod domain;
mod reactions;
#[cfg(test)]
mod simulated;
mod store;

use chassis::{House, Opening, Service, Statements, Writing, config::NoSettings, edge::ProblemPage};
use domain::Cards;
use reactions::Loyalty;
use sqlx::migrate::Migrator;
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

    async fn load(opening: &mut Opening<'_>, cards: &mut Cards) -> sqlx::Result<()> {
        store::load(opening, cards).await
    }

    fn save(writing: &mut Writing, cards: &Cards) {
        store::save(writing, cards);
    }

    fn routes(house: House<Self>) -> OpenApiRouter {
        api::routes(house)
    }
}

fn main() -> std::process::ExitCode {
    chassis::run::<Loyalty>()
}

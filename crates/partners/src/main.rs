//! `partners`: settings, logs, and then [`partners::serve`].

use std::{io::IsTerminal as _, process::ExitCode};

use anyhow::Context as _;
use clap::Parser as _;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match run(partners::Config::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line: what, and why.
            eprintln!("partners: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: partners::Config) -> anyhow::Result<()> {
    let config = config.with_key_files()?;
    log(&config.rust_log)?;
    partners::serve(&config).await?;
    Ok(())
}

/// One JSON object a line, or something for people on a terminal.
fn log(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).context("RUST_LOG: not a filter such as info or partners=debug")?;
    let registry = tracing_subscriber::registry().with(filter);
    if std::io::stdout().is_terminal() {
        registry.with(tracing_subscriber::fmt::layer()).init();
        return Ok(());
    }
    let mut json = json_subscriber::JsonLayer::stdout();
    json.with_timer("timestamp", tracing_subscriber::fmt::time::SystemTime);
    json.with_level("level");
    json.add_static_field("service", "partners".into());
    json.with_flattened_event();
    registry.with(json).init();
    Ok(())
}

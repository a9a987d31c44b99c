//! Settings: each a flag and an environment variable.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use secrecy::SecretString;

/// Stand-ins for the outside world: a card gateway that speaks Stripe's PaymentIntents, and a carrier.
#[derive(Clone, Debug, Parser)]
#[command(version, after_help = "API, ledger and fault rules: see the documentation of the crate `partners`.")]
pub struct Config {
    /// Where the card gateway listens.
    #[arg(long, env, default_value = "127.0.0.1:8100", value_name = "HOST:PORT")]
    pub gateway_addr: SocketAddr,
    /// Where the carrier listens.
    #[arg(long, env, default_value = "127.0.0.1:8101", value_name = "HOST:PORT")]
    pub carrier_addr: SocketAddr,
    /// Directory of the ledger, `partners.redb`; made if it is not there.
    #[arg(long, env, default_value = "partners-data", value_name = "PATH")]
    pub data_dir: PathBuf,
    /// The gateway's secret key, as Bearer token or as the user of Basic.
    #[arg(long, env, default_value = "sk_test_ensemble", value_name = "KEY", hide_env_values = true)]
    pub gateway_key: SecretString,
    /// File that holds the gateway's key; wins over the key.
    #[arg(long, env, value_name = "PATH")]
    pub gateway_key_file: Option<PathBuf>,
    /// The carrier's secret key, as Bearer token.
    #[arg(long, env, default_value = "ck_test_ensemble", value_name = "KEY", hide_env_values = true)]
    pub carrier_key: SecretString,
    /// File that holds the carrier's key; wins over the key.
    #[arg(long, env, value_name = "PATH")]
    pub carrier_key_file: Option<PathBuf>,
    /// How long an authorization can be captured, such as 7d or 90s; at most 365d.
    #[arg(long, env, default_value = "7d", value_name = "DURATION", value_parser = validity)]
    pub authorization_valid_for: Duration,
    /// What is logged: tracing-subscriber's filter.
    #[arg(long, env, default_value = "info", value_name = "FILTER")]
    pub rust_log: String,
}

impl Config {
    /// Takes the keys out of their files.
    ///
    /// # Errors
    /// A file that is named and cannot be read.
    pub fn with_key_files(mut self) -> anyhow::Result<Self> {
        let files = [
            ("GATEWAY_KEY_FILE", self.gateway_key_file.take(), &mut self.gateway_key),
            ("CARRIER_KEY_FILE", self.carrier_key_file.take(), &mut self.carrier_key),
        ];
        for (setting, file, key) in files {
            let Some(file) = file else { continue };
            let text = std::fs::read_to_string(&file).with_context(|| format!("{setting}: cannot read {}", file.display()))?;
            *key = SecretString::from(text.trim_end());
        }
        Ok(self)
    }
}

fn validity(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let bound = Duration::from_secs(365 * 86_400);
    if duration <= bound { Ok(duration) } else { Err("at most 365d".into()) }
}

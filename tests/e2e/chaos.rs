//! A minute in which everything goes wrong at once, from a fixed seed; `just chaos` goes through others.

use anyhow::ensure;
use ensemble::{
    Talk,
    chaos::{self, Settings},
    report,
};
use libtest_mimic::Trial;

use crate::world::{runtime, told};

pub(crate) fn trials() -> Vec<Trial> {
    let test = || told(runtime().and_then(|runtime| runtime.block_on(a_minute())));
    vec![Trial::test("chaos::a_minute_of_everything_at_once_and_it_all_adds_up", test)]
}

async fn a_minute() -> anyhow::Result<()> {
    let settings = Settings { seed: Some(7), minutes: 1.0, orders: Some(200) };
    let outcome = chaos::run(&settings, &Talk::silent()).await?;
    let shown = report::chaos(&outcome, false)?;
    ensure!(outcome.is_well(), "{shown}");
    ensure!(outcome.faults.len() >= 8 && outcome.ends.len() > 2, "{shown}");
    Ok(())
}

//! Each curl line of the README is run, and its answer has the shape, the words and the order that the README prints.

use std::{process::Command, sync::Arc};

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::world::{Shared, Trials, World};

pub(crate) fn trials(shared: &Arc<Shared>) -> Vec<Trial> {
    let mut trials = Trials::on(shared, "readme");
    trials.add("each_curl_line_prints_what_it_says", curls);
    trials.all()
}

async fn curls(world: Arc<World>) -> anyhow::Result<()> {
    let page = std::fs::read_to_string(ensemble::root().join("README.md"))?;
    let order = world.stack.lock().await.order_url();
    let blocks: Vec<(&str, &str)> = page.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect();
    let mut run = 0;
    for pair in blocks.windows(2) {
        let [("sh", command), ("json", printed)] = pair else { continue };
        let command = command.replace("http://127.0.0.1:8080", &order);
        let ran = tokio::task::block_in_place(|| Command::new("sh").args(["-c", &command]).output())?;
        let answer: Value = serde_json::from_slice(&ran.stdout).with_context(|| format!("{command}: {ran:?}"))?;
        same_shape("", &serde_json::from_str(printed)?, &answer)?;
        run += 1;
    }
    ensure!(run >= 2, "the README shows {run} commands with their output");
    Ok(())
}

/// Whether `answer` has what `printed` has. Words that are drawn anew each time (ids, moments) may differ.
fn same_shape(at: &str, printed: &Value, answer: &Value) -> anyhow::Result<()> {
    match (printed, answer) {
        (Value::Object(printed), Value::Object(answer)) => {
            for (key, value) in printed {
                let there = answer.get(key).with_context(|| format!("{at}/{key} is not in the answer"))?;
                same_shape(&format!("{at}/{key}"), value, there)?;
            }
            Ok(())
        }
        // The sale may be committed a moment before or after the answer: what is owed, and the last line of the timeline, tell.
        (Value::Array(printed), Value::Array(answer)) => {
            printed.iter().zip(answer).enumerate().try_for_each(|(n, (one, other))| same_shape(&format!("{at}/{n}"), one, other))
        }
        (Value::String(printed), Value::String(answer)) => {
            let drawn = ["/id", "time", "_at", "since", "trace_id", "causation_id", "tracking", "explanation"]
                .iter()
                .any(|word| at.ends_with(word));
            let settling = at == "/stock/status";
            ensure!(drawn || settling || printed == answer, "{at}: the README says {printed}, the answer {answer}");
            Ok(())
        }
        (printed, answer) => {
            ensure!(printed == answer, "{at}: the README says {printed}, the answer {answer}");
            Ok(())
        }
    }
}

//! `ensemble <verb>`: results on stdout, talk on stderr. It ends with 0 when all is well, 1 when it found
//! something, 2 when it was called wrongly, 3 when what it asked does not answer.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use ensemble::stack::Name;
use ensemble::stack::standing::Standing;
use ensemble::{
    Part, Profile, Talk, audit, bench, chaos, check, dead_letters, declared, defences, demo, doctor, mutants, reconcile, record,
    report, simulate,
};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Starts, watches and shows a stack of Ensemble: four services, no conductor.
#[derive(Parser)]
#[command(name = "ensemble", version, arg_required_else_help = true, after_help = VARIABLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const VARIABLES: &str = "\
Environment:
  ENSEMBLE_HOUSING      docker or native: what the stack runs in [default: docker where an engine answers]
  ENSEMBLE_PROFILE      dev or release: how the programs are compiled [default: dev]
  ENSEMBLE_PORT_OFFSET  a number added to every port [default: 0]
  ENSEMBLE_NAME         which stack is meant, where there are several [default: ensemble]
  RUST_LOG, OTEL_EXPORTER_OTLP_ENDPOINT, EXPIRES_AFTER  are passed on to the services by `up`
  NO_COLOR              no colours";

#[derive(Subcommand)]
enum Verb {
    /// Builds what is needed, starts the stack and returns when it is ready.
    Up,
    /// Stops the stack; its data stays.
    Down {
        /// Drops its data too.
        #[arg(long)]
        volumes: bool,
    },
    /// Says how each part fares, and which orders need a person; ends with 1 if a part is not ready.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows what the parts have logged.
    Logs {
        /// One of postgres, nats, partners, order, inventory, payment, shipping [default: all]
        part: Option<Part>,
        /// Goes on as it grows.
        #[arg(short, long)]
        follow: bool,
        /// How many lines of each.
        #[arg(short = 'n', long, default_value_t = 100)]
        lines: usize,
    },
    /// Checks what a stack needs of this machine, and says how to get what is missing.
    Doctor {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Plays five orders, one for each way of ending, and prints what happened to each.
    Demo {
        /// As JSON, one line for each order.
        #[arg(long)]
        json: bool,
    },
    /// Checks the six invariants over the four databases and the partners' ledgers; ends with 1 if something does not add up.
    Audit {
        /// Leaves out the orders to which something happened within this time, such as 2m, while they do not add up yet; 0s: none.
        #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
        grace: Duration,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lets everything go wrong on a stack of its own, as a seed has it, under load; then it must be quiet, and add up.
    Chaos {
        #[command(flatten)]
        settings: chaos::Settings,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Writes down what a stack has done: claims, outboxes and rows of its orders, once nothing is under way.
    Record {
        /// Where to.
        #[arg(short, long, default_value = "recording.json")]
        output: PathBuf,
    },
    /// Replays recordings through the production reactions, and names the first transition that they do not allow.
    Conform {
        /// Written by `record`.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Lists, tries out, replays or discards what nobody could take.
    DeadLetters {
        #[command(subcommand)]
        desk: dead_letters::Desk,
        /// As JSON.
        #[arg(long, global = true)]
        json: bool,
    },
    /// Puts right a service whose database was restored or has lost its last seconds; names what it cannot, and then ends with 1.
    Reconcile {
        #[command(flatten)]
        settings: reconcile::Settings,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Measures throughput, latency and memory on a stack of its own, compiled for release.
    Bench {
        #[command(flatten)]
        settings: bench::Settings,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Checks the choreography before anything runs: its declarations, every state that an order can come to, and many orders
    /// under faults.
    Check {
        /// Where what is wrong is written as a test; in `crates/choreography/tests` cargo runs it [default: target/ensemble/found].
        #[arg(long, value_name = "DIRECTORY")]
        write_test: Option<PathBuf>,
    },
    /// Plants mistakes into the domains, one at a time, and says which of them the checker finds.
    Mutants {
        #[command(flatten)]
        settings: mutants::Settings,
        /// As JSON, one line for each.
        #[arg(long)]
        json: bool,
    },
    /// Takes the defences against faults out of the source, one at a time, and says which test fails without each.
    Defences {
        #[command(flatten)]
        settings: defences::Settings,
        /// As JSON, one line for each.
        #[arg(long)]
        json: bool,
    },
    /// Simulates many orders under random faults, with the production functions; shrinks and shows what goes wrong.
    Simulate {
        #[command(flatten)]
        settings: simulate::Settings,
    },
    /// Draws the dance from the declarations: who says what, and who reacts.
    Graph {
        #[command(flatten)]
        drawing: declared::Drawing,
    },
    /// Says what each service may do at the broker, as a block for nats-server's configuration.
    Permissions {
        /// Writes it to this file, and not to stdout.
        #[arg(short, long)]
        output: Option<PathBuf>,
    },
    /// Says who opens a connection to whom: what a firewall must let through.
    Edges {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Describes every event, who sends and who receives it, as an AsyncAPI 3.0 document in JSON.
    Asyncapi {
        /// Writes it to this file, and not to stdout.
        #[arg(short, long)]
        output: Option<PathBuf>,
    },
}

/// How a verb ended, if nothing went wrong.
enum Ended {
    Well,
    FoundSomething,
    NotReachable,
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        Self::from(match ended {
            Ended::Well => 0,
            Ended::FoundSomething => 1,
            Ended::NotReachable => 3,
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse().verb).await {
        Ok(ended) => ended.into(),
        Err(error) => {
            anstream::eprintln!("ensemble: {error:#}");
            ExitCode::from(1)
        }
    }
}

async fn run(verb: Verb) -> anyhow::Result<Ended> {
    let talk = Talk::to_the_user();
    match verb {
        Verb::Up => up(&talk).await,
        Verb::Down { volumes } => down(volumes, &talk).await,
        Verb::Status { json } => status(json, &talk).await,
        Verb::Logs { part, follow, lines } => logs(part, follow, lines, &talk).await,
        Verb::Doctor { json } => examine(json).await,
        Verb::Demo { json } => play(json, &talk).await,
        Verb::Audit { grace, json } => inspect(grace, json, &talk).await,
        Verb::Record { output } => write_down(&output, &talk).await,
        Verb::Conform { files } => compare(&files),
        Verb::Chaos { settings, json } => go_through(&settings, json, &talk).await,
        Verb::DeadLetters { desk, json } => tend(&desk, json, &talk).await,
        Verb::Reconcile { settings, json } => put_right(&settings, json, &talk).await,
        Verb::Bench { settings, json } => measure(&settings, json, &talk).await,
        Verb::Check { write_test } => {
            let well = check::run(write_test.as_deref(), &talk)?;
            Ok(if well { Ended::Well } else { Ended::FoundSomething })
        }
        Verb::Mutants { settings, json } => spoil(&settings, json, &talk).await,
        Verb::Defences { settings, json } => disarm(&settings, json, &talk).await,
        Verb::Simulate { settings } => Ok(if simulate::run(&settings, &talk) { Ended::Well } else { Ended::FoundSomething }),
        Verb::Graph { drawing } => declared::draw(&drawing).map(|()| Ended::Well),
        Verb::Permissions { output } => declared::permit(output.as_deref()).map(|()| Ended::Well),
        Verb::Edges { json } => declared::connections(json).map(|()| Ended::Well),
        Verb::Asyncapi { output } => declared::describe(output.as_deref()).map(|()| Ended::Well),
    }
}

async fn up(talk: &Talk) -> anyhow::Result<Ended> {
    let standing = Standing::up(&Name::asked_for()?, Profile::asked_for()?, talk).await?;
    anstream::println!("{}", report::welcome(standing.addresses()));
    Ok(Ended::Well)
}

async fn down(volumes: bool, talk: &Talk) -> anyhow::Result<Ended> {
    let name = Name::asked_for()?;
    let found = if volumes { Standing::find_data(&name).await? } else { Standing::find(&name).await? };
    match found {
        Some(standing) => standing.down(volumes, talk).await?,
        None => talk.say("nothing is up"),
    }
    Ok(Ended::Well)
}

async fn status(json: bool, talk: &Talk) -> anyhow::Result<Ended> {
    let Some(standing) = found(talk).await? else { return Ok(Ended::NotReachable) };
    let fares = standing.status().await;
    anstream::println!("{}", report::status(&fares, standing.housing(), json)?);
    Ok(if fares.iter().all(|fare| fare.ready) { Ended::Well } else { Ended::FoundSomething })
}

async fn logs(part: Option<Part>, follow: bool, lines: usize, talk: &Talk) -> anyhow::Result<Ended> {
    let Some(standing) = found(talk).await? else { return Ok(Ended::NotReachable) };
    let parts = part.map_or(Part::ALL.to_vec(), |part| vec![part]);
    standing.show_logs(&parts, follow, lines).await?;
    Ok(Ended::Well)
}

async fn examine(json: bool) -> anyhow::Result<Ended> {
    let findings = doctor::examine().await?;
    anstream::println!("{}", report::findings(&findings, json)?);
    Ok(if findings.iter().any(doctor::Finding::is_in_the_way) { Ended::FoundSomething } else { Ended::Well })
}

async fn play(json: bool, talk: &Talk) -> anyhow::Result<Ended> {
    let Some(standing) = found(talk).await? else { return Ok(Ended::NotReachable) };
    let mut as_foretold = true;
    for scene in demo::SCENES {
        let played =
            demo::play(scene, standing.addresses()).await.with_context(|| format!("could not play \"{}\"", scene.title))?;
        as_foretold &= played.ended_as_foretold();
        anstream::println!("{}", report::played(&played, json)?);
    }
    Ok(if as_foretold { Ended::Well } else { Ended::FoundSomething })
}

async fn inspect(grace: Duration, json: bool, talk: &Talk) -> anyhow::Result<Ended> {
    let Some(standing) = found(talk).await? else { return Ok(Ended::NotReachable) };
    let report = audit::under_load(standing.addresses(), grace).await?;
    anstream::println!("{}", report::audit(&report, json)?);
    Ok(if report.violations.is_empty() { Ended::Well } else { Ended::FoundSomething })
}

async fn write_down(output: &Path, talk: &Talk) -> anyhow::Result<Ended> {
    let Some(standing) = found(talk).await? else { return Ok(Ended::NotReachable) };
    match record::run(standing.addresses(), output, talk).await {
        Err(error) if matches!(error.downcast_ref(), Some(sqlx::Error::Io(_))) => {
            talk.say(&format!("{error:#}"));
            Ok(Ended::NotReachable)
        }
        written => written.map(|()| Ended::Well),
    }
}

fn compare(files: &[PathBuf]) -> anyhow::Result<Ended> {
    match record::replay(files)? {
        Ok(conforms) => {
            anstream::println!("{conforms}");
            Ok(Ended::Well)
        }
        Err(finding) => {
            anstream::println!("{finding}");
            Ok(Ended::FoundSomething)
        }
    }
}

async fn go_through(settings: &chaos::Settings, json: bool, talk: &Talk) -> anyhow::Result<Ended> {
    let outcome = chaos::run(settings, talk).await?;
    anstream::println!("{}", report::chaos(&outcome, json)?);
    Ok(if outcome.is_well() { Ended::Well } else { Ended::FoundSomething })
}

async fn tend(desk: &dead_letters::Desk, json: bool, talk: &Talk) -> anyhow::Result<Ended> {
    let Some(standing) = found(talk).await? else { return Ok(Ended::NotReachable) };
    let told = dead_letters::ask(desk, standing.addresses(), talk).await?;
    anstream::println!("{}", report::dead_letters(desk, &told, json)?);
    Ok(if told.iter().all(|one| one.well) { Ended::Well } else { Ended::FoundSomething })
}

async fn put_right(settings: &reconcile::Settings, json: bool, talk: &Talk) -> anyhow::Result<Ended> {
    let Some(standing) = found(talk).await? else { return Ok(Ended::NotReachable) };
    let reports = reconcile::run(settings, standing.addresses(), talk).await?;
    anstream::println!("{}", report::reconciled(&reports, json)?);
    Ok(if reports.iter().all(reconcile::Report::is_well) { Ended::Well } else { Ended::FoundSomething })
}

async fn measure(settings: &bench::Settings, json: bool, talk: &Talk) -> anyhow::Result<Ended> {
    let figures = bench::run(settings, talk).await?;
    anstream::println!("{}", report::figures(&figures, json)?);
    Ok(Ended::Well)
}

async fn spoil(settings: &mutants::Settings, json: bool, talk: &Talk) -> anyhow::Result<Ended> {
    if settings.list {
        mutants::chosen(settings)?.iter().for_each(|mutant| anstream::println!("{}: {}", mutant.id(), mutant.says));
        return Ok(Ended::Well);
    }
    let mut tell = |outcome: &mutants::Outcome| -> anyhow::Result<()> {
        anstream::println!("{}", report::spoiled(outcome, json)?);
        Ok(())
    };
    let outcomes = mutants::run(settings, talk, &mut tell).await?;
    if !json {
        anstream::println!("{}", report::found(&outcomes));
    }
    Ok(if mutants::enough(&outcomes) { Ended::Well } else { Ended::FoundSomething })
}

async fn disarm(settings: &defences::Settings, json: bool, talk: &Talk) -> anyhow::Result<Ended> {
    if settings.list {
        defences::chosen(settings)?.iter().for_each(|defence| anstream::println!("{}: {}", defence.name, defence.says));
        return Ok(Ended::Well);
    }
    let mut tell = |outcome: &defences::Outcome| -> anyhow::Result<()> {
        anstream::println!("{}", report::disarmed(outcome, json)?);
        Ok(())
    };
    let outcomes = defences::run(settings, talk, &mut tell).await?;
    let missed = outcomes.iter().filter(|outcome| !outcome.failed.is_empty()).count();
    if !json {
        anstream::println!("\n{missed} of {} are missed by their test", outcomes.len());
    }
    Ok(if missed == outcomes.len() { Ended::Well } else { Ended::FoundSomething })
}

async fn found(talk: &Talk) -> anyhow::Result<Option<Standing>> {
    let standing = Standing::find(&Name::asked_for()?).await?;
    if standing.is_none() {
        talk.say("nothing is up: `just up` (or `cargo ensemble up`) starts a stack");
    }
    Ok(standing)
}

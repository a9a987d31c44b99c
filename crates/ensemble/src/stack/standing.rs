//! The stack that `ensemble up` leaves running: on the documented ports, with its data, until it is taken down.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use crate::part::{Part, Service};
use crate::reconcile;
use crate::stack::addresses::Addresses;
use crate::stack::attention::{self, Attention};
use crate::stack::compose::Project;
use crate::stack::docker::{Compose, Docker};
use crate::stack::housing::Housing;
use crate::stack::images::{self, Image};
use crate::stack::name::Name;
use crate::stack::native::Native;
use crate::stack::ports::{Ports, is_free};
use crate::stack::process::Process;
use crate::stack::secrets::Secrets;
use crate::stack::servers::Servers;
use crate::stack::{command, wait};
use crate::talk::Talk;
use crate::workspace::{self, Binaries, Profile};

const READY_WITHIN: Duration = Duration::from_secs(60);
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

/// What is written down about a stack that was taken up.
#[derive(Serialize, Deserialize)]
struct Record {
    housing: Housing,
    offset: u16,
    /// False after `down`, which leaves data, and with it the question what to drop.
    up: bool,
}

/// A standing stack.
pub struct Standing {
    name: String,
    housing: Housing,
    offset: u16,
    /// Present when the housing is Docker.
    compose: Option<Compose>,
    native: Native,
}

/// How one part of it fares.
#[derive(Clone, Debug, Serialize)]
pub struct Fare {
    /// Which.
    pub part: String,
    /// Whether it does its work.
    pub ready: bool,
    /// What it answers at.
    pub address: String,
    /// What it answered instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// The orders that need a person there; absent where nobody can say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention: Option<Attention>,
}

impl Standing {
    /// Builds what is needed, starts what does not run, replaces what has changed, and returns when all is ready.
    ///
    /// # Errors
    /// When something cannot be built, installed or started, or is not ready in time; with the end of its log.
    pub async fn up(name: &Name, profile: Profile, talk: &Talk) -> anyhow::Result<Self> {
        let docker = Docker::ask().await;
        let (housing, compose) = Self::choose(docker.as_ref(), talk)?;
        let mut standing = Self::at(name, housing, compose, name.offset)?;
        let was_up = standing.is_up_already(name)?;
        standing.native.prepare()?;
        standing.native.addresses.secrets = Secrets::kept_in(&standing.native.dir.join("secrets.env"))?;
        if !was_up {
            for part in Part::ALL {
                standing.refuse_taken_ports(part)?;
            }
        }
        standing.write_down(true)?;
        match standing.compose {
            Some(compose) => standing.up_in_containers(compose, profile, talk).await?,
            None => standing.up_as_processes(profile, talk).await?,
        }
        Ok(standing)
    }

    fn choose(docker: Option<&Docker>, talk: &Talk) -> anyhow::Result<(Housing, Option<Compose>)> {
        let asked = Housing::asked_for()?;
        let housing = Housing::choose(asked, docker)?;
        if housing == Housing::Native {
            talk.say("as processes of this machine");
            return Ok((housing, None));
        }
        let docker = docker.context("containers are chosen only where an engine has answered")?;
        match (docker.compose, asked) {
            (Some(compose), _) => {
                talk.say(&format!("in containers: Docker {}, {}", docker.version, compose.name()));
                Ok((housing, Some(compose)))
            }
            (None, Some(_)) => bail!(
                "ENSEMBLE_HOUSING=docker, but there is no Compose: apt-get install docker-compose, or the plugin docker-compose-v2"
            ),
            (None, None) => {
                talk.say("as processes of this machine, since Docker is here but Compose is not");
                Ok((Housing::Native, None))
            }
        }
    }

    fn at(name: &Name, housing: Housing, compose: Option<Compose>, offset: u16) -> anyhow::Result<Self> {
        let native = Native {
            dir: name.dir(),
            addresses: Addresses { ports: Ports::conventional(offset)?, secrets: Secrets::draw() },
            binaries: Binaries::new(),
            servers: None,
            postgres: [("max_connections", "200"), ("shared_buffers", "256MB"), ("max_wal_size", "2GB")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            environment: passed_on(),
        };
        Ok(Self { name: name.name.clone(), housing, offset, compose, native })
    }

    /// The two housings keep different data, and want the same ports.
    fn is_up_already(&self, name: &Name) -> anyhow::Result<bool> {
        match Self::record(name)?.filter(|record| record.up) {
            Some(record) if record.housing != self.housing => bail!(
                "this stack was taken up with ENSEMBLE_HOUSING={}; `ensemble down` first, or say so again",
                record.housing.name()
            ),
            record => Ok(record.is_some()),
        }
    }

    fn refuse_taken_ports(&self, part: Part) -> anyhow::Result<()> {
        match self.native.addresses.ports.of(part).into_iter().find(|port| !is_free(*port)) {
            Some(port) => bail!(
                "port {port}, for {part}, is taken by another program: stop that, or move every port with ENSEMBLE_PORT_OFFSET=1000"
            ),
            None => Ok(()),
        }
    }

    fn write_down(&self, up: bool) -> anyhow::Result<()> {
        let record = serde_json::to_vec(&Record { housing: self.housing, offset: self.offset, up })?;
        std::fs::write(self.native.dir.join("stack.json"), record).context("could not write down what is started")
    }

    fn record(name: &Name) -> anyhow::Result<Option<Record>> {
        let path = name.dir().join("stack.json");
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .with_context(|| format!("{} is not what was written: remove its directory to start afresh", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("could not read {}", path.display())),
        }
    }

    /// Whether one was taken up and not down again.
    pub(crate) fn is_up(name: &Name) -> anyhow::Result<bool> {
        Self::record(name).map(|record| record.is_some_and(|record| record.up))
    }

    /// The one that is up, if one is.
    ///
    /// # Errors
    /// When what was written down about it cannot be read, or it is in containers and Docker does not answer.
    pub async fn find(name: &Name) -> anyhow::Result<Option<Self>> {
        if Self::is_up(name)? { Self::find_data(name).await } else { Ok(None) }
    }

    /// The one that is up, or was and has left its data.
    ///
    /// # Errors
    /// As [`Standing::find`].
    pub async fn find_data(name: &Name) -> anyhow::Result<Option<Self>> {
        let Some(record) = Self::record(name)? else { return Ok(None) };
        let compose = match record.housing {
            Housing::Native => None,
            Housing::Docker => {
                let docker = Docker::ask().await.context("the stack is in containers, and no Docker engine answers")?;
                Some(docker.compose.context("the stack is in containers, and Compose is no longer here")?)
            }
        };
        let mut standing = Self::at(name, record.housing, compose, record.offset)?;
        standing.native.addresses.secrets = Secrets::read(&standing.native.dir.join("secrets.env"))?;
        Ok(Some(standing))
    }

    async fn up_in_containers(&self, compose: Compose, profile: Profile, talk: &Talk) -> anyhow::Result<()> {
        images::ensure(&Image::ALL, talk).await?;
        images::programs(profile, talk).await?;
        let step = talk.step("containers");
        step.now(compose.name());
        self.project(compose).up().await?;
        step.done("started");
        self.wait_for(&Part::ALL, talk).await
    }

    async fn up_as_processes(&mut self, profile: Profile, talk: &Talk) -> anyhow::Result<()> {
        self.native.servers = Some(Servers::ensure(talk).await?);
        self.native.binaries = workspace::build(&Part::ALL, profile, talk).await?;
        let (ground, services) = Part::ALL.split_at(Part::GROUND.len());
        for together in [ground, services] {
            for part in together {
                self.start_process(*part).await?;
            }
            self.wait_for(together, talk).await?;
        }
        Ok(())
    }

    /// What runs as it should is left alone.
    async fn start_process(&self, part: Part) -> anyhow::Result<()> {
        if let Some(running) = Process::recorded(&self.native.record(part)) {
            if running.is_of(&self.native.launch(part)?) {
                return Ok(());
            }
            running.stop(STOPPED_WITHIN).await.with_context(|| format!("the {part} of an earlier build does not stop"))?;
        }
        self.refuse_taken_ports(part)?;
        self.native.start(part).await.map(drop)
    }

    async fn wait_for(&self, parts: &[Part], talk: &Talk) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        for part in parts {
            let step = talk.step(part.name());
            step.now("starting");
            let ready = wait::until(deadline, || async {
                if self.has_ended(*part) {
                    return Ok(Err(anyhow::anyhow!("it has ended")));
                }
                wait::probe(*part, &self.native.addresses).await.map(Ok).map_err(|seen| format!("{seen:#}"))
            })
            .await
            .and_then(|outcome| outcome);
            if let Err(seen) = ready {
                let log = self.last_lines(*part, 20).await;
                return Err(seen.context(format!("{part} is not ready; the end of its log:\n{log}")));
            }
            step.done("ready");
        }
        wait::until_stocked(deadline, parts, &self.native.addresses).await
    }

    /// Known of processes only: a container is started again.
    fn has_ended(&self, part: Part) -> bool {
        self.compose.is_none() && Process::recorded(&self.native.record(part)).is_none()
    }

    async fn last_lines(&self, part: Part, count: usize) -> String {
        match self.compose {
            Some(compose) => self.project(compose).last_lines(part, count).await.unwrap_or_default(),
            None => command::last_lines(&std::fs::read_to_string(self.native.log(part)).unwrap_or_default(), count),
        }
    }

    fn project(&self, compose: Compose) -> Project<'_> {
        Project { compose, name: &self.name, addresses: &self.native.addresses }
    }

    /// Stops everything; its data stays, unless it is to be dropped too.
    ///
    /// # Errors
    /// When something does not stop or cannot be removed.
    pub async fn down(self, volumes: bool, talk: &Talk) -> anyhow::Result<()> {
        let step = talk.step("down");
        match self.compose {
            Some(compose) => self.project(compose).down(volumes).await?,
            None => self.stop_processes(&step).await?,
        }
        if volumes {
            let dir = &self.native.dir;
            std::fs::remove_dir_all(dir).with_context(|| format!("could not remove {}", dir.display()))?;
        } else {
            self.write_down(false)?;
        }
        step.done(if volumes { "stopped; its data is gone" } else { "stopped; its data stays" });
        Ok(())
    }

    /// The services at once, so that they drain at the same time; what they stand on afterwards.
    async fn stop_processes(&self, step: &crate::talk::Step<'_>) -> anyhow::Result<()> {
        let (ground, services) = Part::ALL.split_at(Part::GROUND.len());
        let mut stopped = Ok(());
        for (what, together) in [("the services", services), ("the ground", ground)] {
            step.now(what);
            for ended in join_all(together.iter().map(|part| self.stop_process(*part))).await {
                stopped = stopped.and(ended);
            }
        }
        stopped
    }

    async fn stop_process(&self, part: Part) -> anyhow::Result<()> {
        let record = self.native.record(part);
        let Some(process) = Process::recorded(&record) else { return Ok(()) };
        process.stop(STOPPED_WITHIN).await.with_context(|| format!("{part} did not stop by itself and was killed"))?;
        std::fs::remove_file(&record).with_context(|| format!("could not remove {}", record.display()))
    }

    /// How each part fares.
    pub async fn status(&self) -> Vec<Fare> {
        let probes = Part::ALL.map(|part| async move {
            let mut seen = wait::probe(part, &self.native.addresses).await.err().map(|seen| format!("{seen:#}"));
            if let (Some(seen), Part::Service(service)) = (&mut seen, part)
                && let Some(why) = reconcile::why(service, &self.native.addresses).await
            {
                *seen = format!("its database has lost something: {why}; `ensemble reconcile` puts it right");
            }
            let attention = match part {
                Part::Service(service) => attention::of(service, &self.native.addresses).await,
                Part::Postgres | Part::Nats | Part::Partners => None,
            };
            Fare { part: part.name().to_owned(), ready: seen.is_none(), address: self.address(part), seen, attention }
        });
        join_all(probes).await
    }

    fn address(&self, part: Part) -> String {
        let addresses = &self.native.addresses;
        match part {
            Part::Postgres => format!("127.0.0.1:{}", addresses.ports.postgres),
            Part::Nats => addresses.nats_url(),
            Part::Partners => format!("{} (cards), {} (carrier)", addresses.gateway_url(), addresses.carrier_url()),
            Part::Service(service) => addresses.url(service),
        }
    }

    /// Shows what the parts said, oldest first, on stdout.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub async fn show_logs(&self, parts: &[Part], follow: bool, count: usize) -> anyhow::Result<()> {
        if let Some(compose) = self.compose {
            return self.project(compose).show_logs(parts, follow, count).await;
        }
        let mut tail = command::command("tail");
        tail.args(["-n", &count.to_string()]);
        if follow {
            tail.arg("-F");
        }
        let logs: Vec<_> = parts.iter().map(|part| self.native.log(*part)).filter(|log| log.exists()).collect();
        if logs.is_empty() {
            bail!("nothing has been logged yet");
        }
        let ended = tail.args(logs).stdout(std::process::Stdio::inherit()).status().await.context("could not run tail")?;
        anyhow::ensure!(ended.success(), "tail ended with {ended}");
        Ok(())
    }

    /// Where everything is reached.
    pub fn addresses(&self) -> &Addresses {
        &self.native.addresses
    }

    /// What it runs in.
    pub fn housing(&self) -> Housing {
        self.housing
    }
}

/// What the user sets for `ensemble up` reaches the programs, as it does in containers.
fn passed_on() -> std::collections::HashMap<Part, Vec<(String, String)>> {
    let wanted = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(|value| (name.to_owned(), value));
    let everybody: Vec<_> = ["RUST_LOG", "OTEL_EXPORTER_OTLP_ENDPOINT"].into_iter().filter_map(wanted).collect();
    let mut passed: std::collections::HashMap<_, _> =
        Part::ALL.into_iter().filter(|part| part.is_ours()).map(|part| (part, everybody.clone())).collect();
    passed.entry(Service::Order.into()).or_default().extend(wanted("EXPIRES_AFTER"));
    passed.entry(Part::Nats).or_default().extend(wanted("NATS_SYNC_INTERVAL"));
    passed
}

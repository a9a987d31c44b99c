//! A stack: PostgreSQL with four databases, NATS with JetStream, the partners, the four services.
//!
//! There are two ways to have one. [`Stack`] is a test's own: on free ports, its servers in containers where an
//! engine answers, its services processes that can be killed and paused; it leaves nothing behind.
//! [`Standing`](standing::Standing) is what `ensemble up` leaves running, with its data, until `ensemble down`.

mod addresses;
mod name;
mod options;
mod ports;
mod secrets;

pub mod attention;
pub mod edges;
pub mod guard;
pub mod standing;

mod broker;
mod cable;
mod disk;
mod partner;

mod compose;
mod containers;
mod environment;
mod housing;
pub(crate) mod images;
mod native;
#[cfg(test)]
mod permissions_tests;
mod process;
mod reaper;
mod replicas;
pub(crate) mod servers;
mod standby;

pub(crate) mod command;
pub(crate) mod docker;
pub(crate) mod root;
pub(crate) mod wait;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::future::join_all;
use rustix::process::Signal;

pub use addresses::Addresses;
pub use broker::Broker;
pub use cable::Cable;
pub use disk::Disk;
pub use housing::{HOUSING_VARIABLE, Housing};
pub use name::Name;
pub use options::Options;
pub use partner::Partner;
pub use ports::Ports;
pub(crate) use ports::is_free;
pub use replicas::{Balancer, Replica};
pub use secrets::Secrets;
pub use standby::Standby;
pub use wait::{eventually, eventually_paced};

use crate::part::{Part, Service};
use crate::talk::Talk;
use crate::workspace;
use containers::Container;
use docker::Docker;
use images::Image;
use native::Native;
use ports::PortBlock;
use process::Process;
use reaper::Reaper;
use servers::Servers;

/// How long a part may take until it is ready. A machine with two cores compiles and tests at the same time.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// A service says that it drains within 10 s.
const STOPPED_WITHIN: Duration = Duration::from_secs(12);

/// What one part of a stack is, just now.
enum Home {
    Process(Process),
    Container(Box<Container>),
}

/// A stack of one's own, for a test or a measurement.
///
/// Its life: [`Stack::start`] returns when every part is ready; [`Stack::finish`] stops all of it and removes what
/// it has written. Dropped without that, or with the program killed, it is removed all the same, but not in order.
pub struct Stack {
    name: String,
    native: Native,
    homes: HashMap<Part, Home>,
    housing: Housing,
    cables: HashMap<Service, Cable>,
    finished: bool,
    _ports: PortBlock,
    // Last: it removes what is left when all else has been dropped.
    _reaper: Reaper,
}

impl Stack {
    /// Builds what is needed, starts it, and waits until it is ready.
    ///
    /// # Errors
    /// When something cannot be built, installed or started, or is not ready in time; with the end of its log.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let talk = Talk::in_lines_when_slow();
        let binaries = workspace::build(&options.parts, options.profile, &talk).await?;
        let docker = Docker::ask().await;
        let asked = options.housing.map_or_else(Housing::asked_for, |housing| Ok(Some(housing)))?;
        let housing = Housing::choose(asked, docker.as_ref())?;
        let servers = match housing {
            Housing::Docker => images::ensure(&Image::SERVERS, &talk).await.map(|()| None)?,
            Housing::Native => Some(Servers::ensure(&talk).await?),
        };

        let ports = PortBlock::take()?;
        let addresses = Addresses { ports: ports.ports.clone(), secrets: Secrets::draw() };
        // Kept from its own destructor: the reaper removes it, when nothing runs in there any more.
        let dir = tempfile::Builder::new().prefix("ensemble-").tempdir().context("could not create a directory")?.keep();
        let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let (mut environment, mut cables) = (options.environment, HashMap::new());
        for service in Service::ALL.into_iter().filter(|_| options.cables) {
            let cable = Cable::to(format!("127.0.0.1:{}", addresses.ports.nats)).await.context("could not lay a cable")?;
            environment.entry(service.into()).or_default().push(("NATS_URL".to_owned(), format!("nats://{}", cable.address)));
            cables.insert(service, cable);
        }
        if options.guarded {
            guard::name_users(&mut environment, addresses.ports.nats);
        }
        let native = Native { dir, addresses, binaries, servers, postgres: options.postgres, environment };
        native.prepare()?;
        if options.guarded {
            guard::write(&native.dir, &guard::authorization())?;
        }
        let reaper = Reaper::watch(&native.dir, &name, housing == Housing::Docker)?;
        let homes = HashMap::new();
        let mut stack = Self { name, native, homes, housing, cables, finished: false, _ports: ports, _reaper: reaper };
        stack.start_all(&options.parts).await?;
        Ok(stack)
    }

    /// The ground first, then the services: together, since they wait for nobody but it.
    async fn start_all(&mut self, parts: &[Part]) -> anyhow::Result<()> {
        let (ground, services): (Vec<_>, Vec<_>) = parts.iter().partition(|part| Part::GROUND.contains(part));
        for together in [ground, services] {
            for part in &together {
                let home = self.make(*part).await?;
                self.homes.insert(*part, home);
            }
            for part in together {
                self.wait_until_ready(part).await?;
            }
        }
        wait::until_stocked(Instant::now() + READY_WITHIN, parts, &self.native.addresses).await
    }

    async fn make(&self, part: Part) -> anyhow::Result<Home> {
        let (native, name) = (&self.native, &self.name);
        match (self.housing, part) {
            (Housing::Docker, Part::Postgres) => Container::postgres(&native.addresses, &native.postgres, name)
                .await
                .map(|container| Home::Container(Box::new(container))),
            (Housing::Docker, Part::Nats) => Container::nats(&native.addresses, &native.data(part), native.variables(part), name)
                .await
                .map(|container| Home::Container(Box::new(container))),
            (Housing::Docker | Housing::Native, part) => native.start(part).await.map(Home::Process),
        }
    }

    /// Waits until a part does its work.
    ///
    /// # Errors
    /// When it ends, or is not ready within a minute; with what it answered and the end of its log.
    pub async fn wait_until_ready(&self, part: impl Into<Part>) -> anyhow::Result<()> {
        let part = part.into();
        let ready = wait::until(Instant::now() + READY_WITHIN, || async {
            match self.homes.get(&part) {
                Some(Home::Process(process)) if !process.is_alive() => {
                    // Not worth another try, but worth saying how.
                    return Ok(Err(anyhow::anyhow!(
                        "it ended: {}",
                        process.ended().map_or("how, nobody saw".to_owned(), |status| status.to_string())
                    )));
                }
                Some(Home::Process(_) | Home::Container(_)) => {}
                None => return Ok(Err(anyhow::anyhow!("it is not part of this stack"))),
            }
            wait::probe(part, &self.native.addresses).await.map(Ok).map_err(|seen| format!("{seen:#}"))
        })
        .await
        .and_then(|outcome| outcome);
        if let Err(seen) = ready {
            let log = self.logs(part).await.unwrap_or_default();
            return Err(seen.context(format!("{part} is not ready; the end of its log:\n{}", command::last_lines(&log, 20))));
        }
        Ok(())
    }

    /// kill -9.
    pub async fn kill(&self, part: impl Into<Part>) -> anyhow::Result<()> {
        match self.home(part.into())? {
            Home::Process(process) => process.kill().await,
            Home::Container(container) => container.docker("kill").await,
        }
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// When it does not end within 12 s, or ends with anything but success.
    pub async fn stop(&self, part: impl Into<Part>) -> anyhow::Result<()> {
        let part = part.into();
        match self.home(part)? {
            Home::Container(container) => container.docker("stop").await,
            Home::Process(process) => {
                process.stop(STOPPED_WITHIN).await.with_context(|| format!("{part} does not stop"))?;
                let ended = process.ended();
                anyhow::ensure!(
                    !part.is_ours() || ended.is_none_or(|status| status.success()),
                    "{part} was asked to stop and ended with {}",
                    ended.unwrap_or_default()
                );
                Ok(())
            }
        }
    }

    /// Starts a part again that was killed or stopped, at the same address with the same data, and waits until it
    /// is ready.
    pub async fn start_part(&mut self, part: impl Into<Part>) -> anyhow::Result<()> {
        let part = part.into();
        self.launch(part).await?;
        self.wait_until_ready(part).await
    }

    /// As [`Stack::start_part`], for one that is not expected to become ready.
    pub async fn launch(&mut self, part: impl Into<Part>) -> anyhow::Result<()> {
        let part = part.into();
        match self.home(part)? {
            Home::Container(container) => container.docker("start").await,
            Home::Process(_) => {
                let process = self.native.start(part).await?;
                self.homes.insert(part, Home::Process(process));
                Ok(())
            }
        }
    }

    /// Whether the process of a part has ended. One in a container counts as running.
    pub fn has_ended(&self, part: impl Into<Part>) -> bool {
        matches!(self.homes.get(&part.into()), Some(Home::Process(process)) if !process.is_alive())
    }

    /// A variable for one of our programs, from its next start on.
    pub fn set(&mut self, part: impl Into<Part>, name: &str, value: impl Into<String>) {
        self.native.environment.entry(part.into()).or_default().push((name.to_owned(), value.into()));
    }

    /// The program that a service runs.
    ///
    /// # Errors
    /// When it is not part of this stack.
    pub fn program(&self, service: Service) -> anyhow::Result<PathBuf> {
        let program = self.native.binaries.get(&service.into());
        program.cloned().with_context(|| format!("{service} was not built for this stack"))
    }

    /// Another program for a service and its replicas, from the next start of the one, and for those made later of the others.
    pub fn runs(&mut self, service: Service, program: PathBuf) {
        self.native.binaries.insert(service.into(), program);
    }

    /// Stops a part in good order and starts it again.
    pub async fn restart(&mut self, part: impl Into<Part>) -> anyhow::Result<()> {
        let part = part.into();
        self.stop(part).await?;
        self.start_part(part).await
    }

    /// One more of that service, which does not run yet.
    ///
    /// # Errors
    /// When no ports are free.
    pub fn replica(&self, service: Service) -> anyhow::Result<Replica> {
        Replica::of(&self.native, service)
    }

    /// What spreads requests over the stack's own service and these.
    ///
    /// # Errors
    /// When HAProxy cannot be had or started.
    pub async fn balancer(&self, service: Service, replicas: &[Replica]) -> anyhow::Result<Balancer> {
        Balancer::before(&self.native, service, replicas).await
    }

    /// SIGSTOP: it is there, holds its connections, and does nothing.
    pub async fn pause(&self, part: impl Into<Part>) -> anyhow::Result<()> {
        match self.home(part.into())? {
            Home::Process(process) => process.freeze(),
            Home::Container(container) => container.docker("pause").await,
        }
    }

    /// SIGCONT.
    pub async fn resume(&self, part: impl Into<Part>) -> anyhow::Result<()> {
        match self.home(part.into())? {
            Home::Process(process) => process.thaw(),
            Home::Container(container) => container.docker("unpause").await,
        }
    }

    /// Everything that a part has said since the stack was started.
    pub async fn logs(&self, part: impl Into<Part>) -> anyhow::Result<String> {
        let part = part.into();
        match self.home(part)? {
            Home::Process(_) => {
                let path = self.native.log(part);
                std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))
            }
            Home::Container(container) => container.log().await,
        }
    }

    /// The process of a part that runs as one.
    pub fn process_id(&self, part: impl Into<Part>) -> Option<i32> {
        match self.homes.get(&part.into())? {
            Home::Process(process) => Some(process.pid()),
            Home::Container(_) => None,
        }
    }

    /// A service's way to the broker, in a stack with [`Options::cables`].
    pub fn cable(&self, service: Service) -> Option<&Cable> {
        self.cables.get(&service)
    }

    /// What services may do at the broker from now on, in a stack with [`Options::guarded`]: see [`guard::authorization`].
    ///
    /// # Errors
    /// When the broker is no process of this machine, or its configuration cannot be written.
    pub fn permit(&self, authorization: &str) -> anyhow::Result<()> {
        guard::write(&self.native.dir, authorization)?;
        match self.home(Part::Nats)? {
            Home::Process(process) => process.signal(Signal::HUP),
            Home::Container(_) => anyhow::bail!("the broker runs in a container, which is not guarded"),
        }
    }

    /// What the two servers run in.
    pub fn housing(&self) -> Housing {
        self.housing
    }

    /// Where a part keeps what it keeps, on this machine. PostgreSQL in a container keeps it in there.
    pub fn data(&self, part: impl Into<Part>) -> PathBuf {
        self.native.data(part.into())
    }

    /// Where everything is reached.
    pub fn addresses(&self) -> &Addresses {
        &self.native.addresses
    }

    /// Order's API.
    pub fn order_url(&self) -> String {
        self.addresses().url(Service::Order)
    }

    /// A service's API.
    pub fn url(&self, service: Service) -> String {
        self.addresses().url(service)
    }

    /// A service's probes, metrics and operator's door.
    pub fn admin_url(&self, service: Service) -> String {
        self.addresses().admin_url(service)
    }

    /// The card gateway.
    pub fn gateway_url(&self) -> String {
        self.addresses().gateway_url()
    }

    /// The carrier.
    pub fn carrier_url(&self) -> String {
        self.addresses().carrier_url()
    }

    /// A service's database, as that service sees it.
    pub fn database_url(&self, service: Service) -> String {
        self.addresses().database_url(service)
    }

    /// The broker.
    pub fn nats_url(&self) -> String {
        self.addresses().nats_url()
    }

    fn home(&self, part: Part) -> anyhow::Result<&Home> {
        self.homes.get(&part).with_context(|| format!("{part} is not part of this stack"))
    }

    /// Stops everything in good order and removes what it wrote.
    ///
    /// # Errors
    /// When a service does not drain in time or ends badly, or something cannot be removed.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        self.finished = true;
        let ours = join_all(Part::ALL.into_iter().filter(|part| part.is_ours()).map(|part| self.stop_if_alive(part))).await;
        let mut stopped = ours.into_iter().collect::<anyhow::Result<()>>();
        for home in std::mem::take(&mut self.homes).into_values() {
            // Nobody will read what the servers keep: no need to wait until they have put it in order.
            stopped = stopped.and(match home {
                Home::Process(process) => process.kill().await,
                Home::Container(container) => container.remove().await,
            });
        }
        // What has ended is no longer for the reaper: its number may be another's by now.
        let records = self.native.dir.join("run");
        std::fs::remove_dir_all(&records).with_context(|| format!("could not remove {}", records.display()))?;
        stopped
    }

    async fn stop_if_alive(&self, part: Part) -> anyhow::Result<()> {
        match self.homes.get(&part) {
            Some(Home::Process(process)) if process.is_alive() => self.stop(part).await,
            Some(Home::Process(_) | Home::Container(_)) | None => Ok(()),
        }
    }
}

/// Who drops a stack without finishing it has met something unexpected. What our programs said last may tell what;
/// afterwards it is gone.
impl Drop for Stack {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        for part in self.homes.keys().filter(|part| part.is_ours()) {
            let log = std::fs::read_to_string(self.native.log(*part)).unwrap_or_default();
            eprintln!("--- the end of {part}'s log\n{}", command::last_lines(&log, 15));
        }
    }
}

//! More of a service than one, as on other hosts, and HAProxy before them.

use std::{collections::HashSet, path::PathBuf, time::Duration};

use anyhow::Context;
use rustix::process::Signal;
use tokio::time::Instant;

use super::{
    STOPPED_WITHIN,
    native::Native,
    ports::PortBlock,
    process::{Launch, Process, StopWith},
    servers, wait,
};
use crate::{
    part::{Part, Service},
    talk::Talk,
};

/// How long one may take until it is ready.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// One more of a service, at an address of its own, which stays its own while it is down. Dropped, it is killed.
pub struct Replica {
    service: Service,
    ports: PortBlock,
    launch: Launch,
    log: PathBuf,
    record: PathBuf,
    process: Option<Process>,
}

impl Replica {
    /// It does not run yet.
    pub(super) fn of(native: &Native, service: Service) -> anyhow::Result<Self> {
        let ports = PortBlock::take()?;
        let part = Part::Service(service);
        let mut launch = native.launch(part)?;
        let here = [("HTTP_ADDR", ports.ports.http(service)), ("ADMIN_ADDR", ports.ports.admin(service))];
        launch.environment.retain(|(name, _)| here.iter().all(|(other, _)| name != other));
        launch.environment.extend(here.map(|(name, port)| (name.to_owned(), format!("127.0.0.1:{port}"))));
        let beside = |path: PathBuf| path.with_extension(ports.ports.http(service).to_string());
        let (log, record) = (beside(native.log(part)), beside(native.record(part)));
        Ok(Self { service, ports, launch, log, record, process: None })
    }

    /// Its API.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.ports.http(self.service))
    }

    /// Its probes, metrics and operator's door.
    pub fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.ports.admin(self.service))
    }

    /// Starts it. It is not ready when this returns.
    ///
    /// # Errors
    /// When its program cannot be started.
    pub fn launch(&mut self) -> anyhow::Result<()> {
        self.process = Some(Process::start(&self.launch, &self.log, &self.record)?);
        Ok(())
    }

    /// Starts it, and waits until it is ready.
    ///
    /// # Errors
    /// When it ends, or is not ready within a minute; with the end of its log.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        self.launch()?;
        self.wait_until_ready().await
    }

    /// Waits until it does its work.
    ///
    /// # Errors
    /// When it is not ready within a minute; with the end of its log.
    pub async fn wait_until_ready(&self) -> anyhow::Result<()> {
        let ready = wait::until(Instant::now().into_std() + READY_WITHIN, || async {
            let asked = reqwest::get(format!("{}/readyz", self.admin_url())).await.and_then(reqwest::Response::error_for_status);
            asked.map(drop).map_err(|error| error.to_string())
        });
        let log = || super::command::last_lines(&self.logs().unwrap_or_default(), 20);
        ready.await.with_context(|| format!("a replica of {} is not ready; the end of its log:\n{}", self.service, log()))
    }

    /// kill -9.
    ///
    /// # Errors
    /// When it is still there afterwards.
    pub async fn kill(&self) -> anyhow::Result<()> {
        match &self.process {
            Some(process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// When it does not end within 12 s, or ends badly.
    pub async fn stop(&self) -> anyhow::Result<()> {
        let Some(process) = &self.process else { return Ok(()) };
        process.stop(STOPPED_WITHIN).await.with_context(|| format!("a replica of {} does not stop", self.service))?;
        let ended = process.ended();
        anyhow::ensure!(ended.is_none_or(|status| status.success()), "a replica was asked to stop and ended with {ended:?}");
        Ok(())
    }

    /// SIGSTOP: it is there, holds its connections, and does nothing.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Everything that it has said.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn logs(&self) -> anyhow::Result<String> {
        std::fs::read_to_string(&self.log).with_context(|| format!("could not read {}", self.log.display()))
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        self.process.as_ref().map_or(Ok(()), |process| process.signal(signal))
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        // The reaper finds what this misses.
        let _ = self.signal(Signal::KILL);
    }
}

/// HAProxy before the stack's own service and its replicas: whoever says that he is ready is asked, and a request that got no
/// answer goes to another, which an Idempotency-Key makes safe. Dropped, it is killed.
pub struct Balancer {
    port: u16,
    process: Process,
    _ports: PortBlock,
}

impl Balancer {
    /// Installs HAProxy where it is missing, and starts it.
    ///
    /// # Errors
    /// When it cannot be had or started.
    pub(super) async fn before(native: &Native, service: Service, replicas: &[Replica]) -> anyhow::Result<Self> {
        let haproxy = servers::haproxy(&Talk::in_lines_when_slow()).await?;
        let ports = PortBlock::take()?;
        let port = ports.ports.http(service);
        let own = (native.addresses.ports.http(service), native.addresses.ports.admin(service));
        let others = replicas.iter().map(|replica| &replica.ports.ports).map(|at| (at.http(service), at.admin(service)));
        let file = native.dir.join(format!("haproxy.{port}.cfg"));
        std::fs::write(&file, config(port, std::iter::once(own).chain(others).collect()))
            .with_context(|| format!("could not write {}", file.display()))?;
        let launch = Launch {
            program: haproxy.clone(),
            arguments: vec!["-db".to_owned(), "-f".to_owned(), file.display().to_string()],
            environment: vec![],
            binary: haproxy,
            stop_with: StopWith::Terminate,
        };
        let beside = |path: PathBuf| path.with_file_name(format!("haproxy.{port}"));
        let part = Part::Service(service);
        let process = Process::start(&launch, &beside(native.log(part)), &beside(native.record(part)))?;
        Ok(Self { port, process, _ports: ports })
    }

    /// Where it is asked.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // The reaper finds what this misses.
        let _ = self.process.signal(Signal::KILL);
    }
}

fn config(port: u16, servers: HashSet<(u16, u16)>) -> String {
    let server = |(http, admin): (u16, u16)| format!("  server at_{http} 127.0.0.1:{http} check port {admin}\n");
    format!(
        "global
  maxconn 2000
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  retries 3
  option redispatch 1
  retry-on conn-failure empty-response
  option httpchk GET /readyz
  default-server inter 200ms fall 1 rise 1
listen replicas
  bind 127.0.0.1:{port}
{}",
        servers.into_iter().map(server).collect::<String>()
    )
}

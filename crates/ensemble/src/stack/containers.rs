//! PostgreSQL and NATS of a test's stack, in containers.

use std::path::Path;

use anyhow::Context;
use testcontainers::core::{ContainerPort, IntoContainerPort, Mount};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt};

use crate::stack::addresses::Addresses;
use crate::stack::command::{command, output};
use crate::stack::images::Image;

const DATABASES: &str = include_str!("../../../../deploy/postgres/databases.sql");
const DATABASE: &str = include_str!("../../../../deploy/postgres/database.psql");
const NATS_CONF: &str = include_str!("../../../../deploy/nats/nats.conf");

/// One server in a container. It goes when [`Container::remove`] is called; until then the stack's reaper answers
/// for it, since a destructor would need a runtime that may be gone.
pub(crate) struct Container {
    id: String,
    /// Never dropped: see above.
    running: std::mem::ManuallyDrop<ContainerAsync<GenericImage>>,
}

impl Container {
    pub(crate) async fn postgres(addresses: &Addresses, settings: &[(String, String)], stack: &str) -> anyhow::Result<Self> {
        let settings = settings.iter().flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]);
        let mut request = named(Image::Postgres, stack)
            .with_cmd(std::iter::once("postgres".to_owned()).chain(settings))
            .with_copy_to("/docker-entrypoint-initdb.d/databases.sql", DATABASES.as_bytes().to_vec())
            .with_copy_to("/docker-entrypoint-initdb.d/database.psql", DATABASE.as_bytes().to_vec())
            .with_shm_size(128 << 20);
        for (name, value) in addresses.secrets.variables() {
            request = request.with_env_var(name, value);
        }
        Self::run(on_loopback(request, &[(addresses.ports.postgres, 5432.tcp())])).await
    }

    /// The store lies in `data`, on this machine, so that a test can look at it or put an older one back.
    pub(crate) async fn nats(
        addresses: &Addresses,
        data: &Path,
        variables: Vec<(String, String)>,
        stack: &str,
    ) -> anyhow::Result<Self> {
        let us = format!("{}:{}", rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let request = named(Image::Nats, stack)
            .with_cmd(["-c", "/etc/nats/nats.conf", "-sd", "/data", "-m", "8222"])
            .with_copy_to("/etc/nats/nats.conf", NATS_CONF.as_bytes().to_vec())
            .with_mount(Mount::bind_mount(data.display().to_string(), "/data"))
            .with_user(us);
        let request = variables.into_iter().fold(request, |request, (name, value)| request.with_env_var(name, value));
        let ports = [(addresses.ports.nats, 4222.tcp()), (addresses.ports.nats_monitor, 8222.tcp())];
        Self::run(on_loopback(request, &ports)).await
    }

    async fn run(request: ContainerRequest<GenericImage>) -> anyhow::Result<Self> {
        let running = request.start().await.context("could not start a container")?;
        Ok(Self { id: running.id().to_owned(), running: std::mem::ManuallyDrop::new(running) })
    }

    /// `docker <verb> <id>`: kill, stop, start, pause, unpause.
    pub(crate) async fn docker(&self, verb: &str) -> anyhow::Result<()> {
        output(command("docker").args([verb, &self.id])).await.map(drop)
    }

    /// Everything it has said.
    pub(crate) async fn log(&self) -> anyhow::Result<String> {
        // PostgreSQL and NATS both log to stderr.
        let said = command("docker").args(["logs", &self.id]).output().await.context("could not run docker logs")?;
        Ok(String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned())
    }

    /// Removes it, with its volumes.
    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        std::mem::ManuallyDrop::into_inner(self.running).rm().await.context("could not remove a container")
    }
}

fn named(image: Image, stack: &str) -> ContainerRequest<GenericImage> {
    GenericImage::new(image.repository(), image.tag()).with_label("ensemble.stack", stack)
}

/// Fixed ports, since one that Docker chooses is another one after a restart; and on loopback alone, where
/// testcontainers would publish to the whole network.
fn on_loopback(request: ContainerRequest<GenericImage>, ports: &[(u16, ContainerPort)]) -> ContainerRequest<GenericImage> {
    let mapped = ports.iter().fold(request, |request, (host, container)| request.with_mapped_port(*host, *container));
    mapped.with_host_config_modifier(|host| {
        for binding in host.port_bindings.iter_mut().flat_map(|bindings| bindings.values_mut()).flatten().flatten() {
            binding.host_ip = Some("127.0.0.1".to_owned());
        }
    })
}

//! A second PostgreSQL that follows the stack's, and takes its place.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sqlx::{Connection, Executor, PgConnection};

use super::{
    STOPPED_WITHIN, Stack,
    command::{command, output},
    native::{as_postgres, hand_to_postgres},
    ports::PortBlock,
    process::Process,
    root, wait,
};
use crate::part::Part;

/// How long it may take to make a copy, or to follow.
const WITHIN: Duration = Duration::from_secs(60);

/// It has every commit that anybody was told of: no commit is acknowledged before it is here as well.
pub struct Standby {
    data: PathBuf,
    url: String,
    process: Process,
    _ports: PortBlock,
}

impl Stack {
    /// Makes one; returns when it has everything, and commits wait for it.
    ///
    /// # Errors
    /// When PostgreSQL is a container, or the copy cannot be made or does not follow.
    pub async fn standby(&self) -> anyhow::Result<Standby> {
        let native = &self.native;
        let servers = native.servers.as_ref().context("PostgreSQL of this stack is a container, which is not copied")?;
        let (ports, data) = (PortBlock::take()?, native.dir.join("standby"));
        let (port, primary) = (ports.ports.postgres.to_string(), native.addresses.ports.postgres.to_string());
        std::fs::DirBuilder::new().mode(0o700).create(&data).with_context(|| format!("could not create {}", data.display()))?;
        if root::are_we() {
            hand_to_postgres(&[&data]).await?;
        }
        let (program, mut arguments) = as_postgres(&servers.postgres.join("pg_basebackup"));
        let from =
            ["--host=127.0.0.1", "--username=postgres", "--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf"];
        arguments.extend(from.map(str::to_owned));
        arguments.extend([format!("--port={primary}"), format!("--pgdata={}", data.display())]);
        let mut copy = command(program);
        copy.args(arguments).env("PGPASSWORD", native.addresses.secrets.superuser()).current_dir("/");
        output(&mut copy).await.context("could not copy the cluster")?;

        let launch = native.postgres_launch(servers, ports.ports.postgres, &data);
        let beside = |path: PathBuf| path.with_file_name("standby");
        let process = Process::start(&launch, &beside(native.log(Part::Postgres)), &beside(native.record(Part::Postgres)))?;
        let url = native.addresses.superuser_url().replace(&format!(":{primary}/"), &format!(":{port}/"));
        let standby = Standby { data, url, process, _ports: ports };
        self.wait_for(&standby).await.context("the standby does not follow")?;
        Ok(standby)
    }

    async fn wait_for(&self, standby: &Standby) -> anyhow::Result<()> {
        let mut primary = PgConnection::connect(&self.native.addresses.superuser_url()).await?;
        primary.execute("alter system set synchronous_standby_names = '*'").await?;
        primary.execute("select pg_reload_conf()").await?;
        primary.close().await?;
        wait::until(Instant::now() + WITHIN, || async {
            if !standby.process.is_alive() {
                return Err("it has ended".to_owned());
            }
            let look = async {
                let mut primary = PgConnection::connect(&self.native.addresses.superuser_url()).await?;
                let follows = "select exists (select from pg_stat_replication where sync_state = 'sync' and state = 'streaming')";
                sqlx::query_scalar::<_, bool>(follows).fetch_one(&mut primary).await
            };
            match look.await {
                Ok(true) => Ok(()),
                Ok(false) => Err("commits do not wait for it".to_owned()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }

    /// PostgreSQL is gone, and the standby answers where it did.
    ///
    /// # Errors
    /// When the standby does not become the primary.
    pub async fn fail_over(&mut self, standby: Standby) -> anyhow::Result<()> {
        let mut promoted = PgConnection::connect(&standby.url).await.context("the standby does not answer")?;
        let (done,): (bool,) = sqlx::query_as("select pg_promote()").fetch_one(&mut promoted).await?;
        ensure!(done, "the standby is not promoted");
        promoted.close().await?;
        // Its port is its own; whoever is connected knows one address, as behind a virtual one.
        standby.process.stop(STOPPED_WITHIN).await?;
        let place = self.native.data(Part::Postgres);
        std::fs::remove_dir_all(&place).with_context(|| format!("could not remove {}", place.display()))?;
        std::fs::rename(&standby.data, &place).context("could not put the standby in the primary's place")?;
        self.start_part(Part::Postgres).await
    }
}

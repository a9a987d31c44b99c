use std::collections::HashMap;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use sqlx::{Connection, PgConnection};

use crate::part::Part;
use crate::stack::addresses::Addresses;
use crate::stack::command::{command, output};
use crate::stack::environment;
use crate::stack::guard;
use crate::stack::process::{Launch, Process, StopWith};
use crate::stack::root;
use crate::stack::servers::Servers;
use crate::stack::wait;
use crate::workspace::{self, Binaries};

/// Where the parts of one stack run as processes: which programs, with what, and where they keep what they write.
///
/// ```text
/// DIR/run/<part>   which process it is     DIR/log/<part>   what it said     DIR/<part>/   what it keeps
/// ```
#[derive(Clone, Debug)]
pub(crate) struct Native {
    pub(crate) dir: PathBuf,
    pub(crate) addresses: Addresses,
    pub(crate) binaries: Binaries,
    /// Absent where the two servers run in containers.
    pub(crate) servers: Option<Servers>,
    /// Settings of PostgreSQL beyond its defaults.
    pub(crate) postgres: Vec<(String, String)>,
    /// Variables beyond the usual, or instead of them.
    pub(crate) environment: HashMap<Part, Vec<(String, String)>>,
}

impl Native {
    /// Makes the directories. PostgreSQL does not run as root, so when we are root its user must be able to pass
    /// through; what is in there is closed to others by its own permissions.
    pub(crate) fn prepare(&self) -> anyhow::Result<()> {
        for dir in [&self.dir, &self.dir.join("run"), &self.dir.join("log"), &self.data(Part::Partners), &self.data(Part::Nats)] {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o711)
                .create(dir)
                .with_context(|| format!("could not create {}", dir.display()))?;
        }
        std::fs::set_permissions(&self.dir, std::fs::Permissions::from_mode(0o711))
            .context("could not open the stack's directory to its servers")
    }

    pub(crate) fn log(&self, part: Part) -> PathBuf {
        self.dir.join("log").join(part.name())
    }

    pub(crate) fn record(&self, part: Part) -> PathBuf {
        self.dir.join("run").join(part.name())
    }

    pub(crate) fn data(&self, part: Part) -> PathBuf {
        self.dir.join(part.name())
    }

    /// Starts a part. It is not ready when this returns.
    pub(crate) async fn start(&self, part: Part) -> anyhow::Result<Process> {
        if part == Part::Postgres {
            return self.start_postgres().await;
        }
        Process::start(&self.launch(part)?, &self.log(part), &self.record(part))
    }

    /// How a part is started.
    pub(crate) fn launch(&self, part: Part) -> anyhow::Result<Launch> {
        match part {
            Part::Postgres => {
                Ok(self.postgres_launch(self.servers()?, self.addresses.ports.postgres, &self.data(Part::Postgres)))
            }
            Part::Nats => Ok(self.nats_launch(self.servers()?)),
            Part::Partners | Part::Service(_) => self.program_launch(part),
        }
    }

    fn servers(&self) -> anyhow::Result<&Servers> {
        self.servers.as_ref().context("PostgreSQL and NATS of this stack are containers, not processes")
    }

    fn program_launch(&self, part: Part) -> anyhow::Result<Launch> {
        let binary = self.binaries.get(&part).with_context(|| format!("{part} was not built for this stack"))?.clone();
        let environment = self.variables(part);
        Ok(Launch { program: binary.clone(), arguments: vec![], environment, binary, stop_with: StopWith::Terminate })
    }

    /// The usual, and what was asked for instead or beyond.
    pub(crate) fn variables(&self, part: Part) -> Vec<(String, String)> {
        let mut variables = environment::variables(part, &self.addresses, &self.data(part));
        for (name, value) in self.environment.get(&part).into_iter().flatten() {
            variables.retain(|(known, _)| known != name);
            variables.push((name.clone(), value.clone()));
        }
        variables
    }

    /// As deployed, unless this stack guards its broker.
    fn nats_config(&self) -> PathBuf {
        let guarded = guard::config(&self.dir);
        if guarded.exists() { guarded } else { workspace::root().join(guard::DEPLOYED) }
    }

    fn nats_launch(&self, servers: &Servers) -> Launch {
        let ports = &self.addresses.ports;
        let arguments = [
            ("-c", self.nats_config().display().to_string()),
            ("-sd", self.data(Part::Nats).display().to_string()),
            ("-a", "127.0.0.1".to_owned()),
            ("-p", ports.nats.to_string()),
            ("-m", ports.nats_monitor.to_string()),
        ];
        Launch {
            program: servers.nats.clone(),
            arguments: arguments.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect(),
            environment: self.variables(Part::Nats),
            binary: servers.nats.clone(),
            stop_with: StopWith::Terminate,
        }
    }

    /// Of the stack's server, or of one that stands by.
    pub(super) fn postgres_launch(&self, servers: &Servers, port: u16, data: &Path) -> Launch {
        let port = port.to_string();
        let fixed = [("listen_addresses", "127.0.0.1"), ("unix_socket_directories", ""), ("port", port.as_str())];
        let chosen = self.postgres.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let settings = fixed.into_iter().chain(chosen).flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]);
        let binary = servers.postgres.join("postgres");
        let (program, mut arguments) = as_postgres(&binary);
        arguments.extend(["-D".to_owned(), data.display().to_string()]);
        arguments.extend(settings);
        Launch { program, arguments, environment: vec![], binary, stop_with: StopWith::Interrupt }
    }

    /// The first time, the cluster and its databases are made. A file says that this was finished: what was
    /// interrupted is made anew.
    async fn start_postgres(&self) -> anyhow::Result<Process> {
        let servers = self.servers()?;
        let made = self.dir.join("postgres.made");
        let fresh = !made.exists();
        if fresh {
            self.make_cluster(servers).await.context("could not make a PostgreSQL cluster")?;
        }
        let process = Process::start(&self.launch(Part::Postgres)?, &self.log(Part::Postgres), &self.record(Part::Postgres))?;
        if fresh {
            self.make_databases(servers, &process).await.context("could not make the four databases")?;
            std::fs::write(&made, "").with_context(|| format!("could not write {}", made.display()))?;
        }
        Ok(process)
    }

    async fn make_cluster(&self, servers: &Servers) -> anyhow::Result<()> {
        let data = self.data(Part::Postgres);
        if data.exists() {
            std::fs::remove_dir_all(&data).with_context(|| format!("could not remove {}", data.display()))?;
        }
        std::fs::DirBuilder::new().mode(0o700).create(&data).with_context(|| format!("could not create {}", data.display()))?;
        let password = self.dir.join("postgres.password");
        let mut file = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&password)?;
        std::io::Write::write_all(&mut file, self.addresses.secrets.superuser().as_bytes())?;
        if root::are_we() {
            hand_to_postgres(&[&data, &password]).await?;
        }

        let (program, mut arguments) = as_postgres(&servers.postgres.join("initdb"));
        arguments.extend(
            ["--no-sync", "--auth=scram-sha-256", "--username=postgres", "--encoding=UTF8", "--locale=C"].map(str::to_owned),
        );
        arguments.extend([format!("--pwfile={}", password.display()), format!("--pgdata={}", data.display())]);
        // From `/`, since the user may not be allowed to stand where we stand.
        let made = output(command(program).args(arguments).current_dir("/")).await;
        std::fs::remove_file(&password).with_context(|| format!("could not remove {}", password.display()))?;
        made.map(drop)
    }

    async fn make_databases(&self, servers: &Servers, server: &Process) -> anyhow::Result<()> {
        let url = self.addresses.superuser_url();
        wait::until(Instant::now() + Duration::from_secs(20), || async {
            if !server.is_alive() {
                return Err(format!("PostgreSQL has ended: {}", self.log(Part::Postgres).display()));
            }
            let connection = PgConnection::connect(&url).await.map_err(|error| error.to_string())?;
            connection.close().await.map_err(|error| error.to_string())
        })
        .await?;
        output(
            command(servers.postgres.join("psql"))
                .args(["--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "--file"])
                .arg(workspace::root().join("deploy/postgres/databases.sql"))
                // In the environment, where other users of this machine cannot read it as they can an argument.
                .env("PGHOST", "127.0.0.1")
                .env("PGPORT", self.addresses.ports.postgres.to_string())
                .env("PGUSER", "postgres")
                .env("PGPASSWORD", self.addresses.secrets.superuser())
                .env("PGDATABASE", "postgres")
                .envs(self.addresses.secrets.variables()),
        )
        .await
        .map(drop)
    }
}

/// PostgreSQL refuses to be root.
pub(crate) fn as_postgres(program: &Path) -> (PathBuf, Vec<String>) {
    if root::are_we() {
        let become_postgres = ["--reuid=postgres", "--regid=postgres", "--init-groups", "--"].map(str::to_owned);
        let arguments = become_postgres.into_iter().chain([program.display().to_string()]).collect();
        (PathBuf::from("setpriv"), arguments)
    } else {
        (program.to_owned(), vec![])
    }
}

pub(crate) async fn hand_to_postgres(paths: &[&Path]) -> anyhow::Result<()> {
    output(command("chown").arg("postgres").args(paths))
        .await
        .context("PostgreSQL does not run as root, and there is no user called postgres to run it")
        .map(drop)
}

//! What it costs: CPU and memory of each process, statements and write-ahead log of PostgreSQL.

use std::collections::BTreeMap;

use anyhow::Context as _;
use sqlx::{Connection as _, PgConnection};

use crate::Stack;

const COUNT_STATEMENTS: &str = "create extension if not exists pg_stat_statements";
const WRITTEN: &str = "select (pg_current_wal_lsn() - '0/0')::bigint";
const STATEMENTS: &str = "select coalesce(sum(calls), 0)::bigint from pg_stat_statements";

/// By process.
pub(super) type ByProcess = BTreeMap<&'static str, f64>;

/// What is read before and after a load.
pub(super) struct Meters(PgConnection);

/// Totals since the processes were started.
pub(super) struct Reading {
    pub(super) statements: i64,
    pub(super) wal_bytes: i64,
    /// Milliseconds, user and system.
    pub(super) cpu_ms: ByProcess,
}

impl Reading {
    pub(super) fn since(&self, before: &Self) -> Self {
        let spent = |(name, ms): (&&'static str, &f64)| (*name, ms - before.cpu_ms.get(name).copied().unwrap_or_default());
        Self {
            statements: self.statements - before.statements,
            wal_bytes: self.wal_bytes - before.wal_bytes,
            cpu_ms: self.cpu_ms.iter().map(spent).collect(),
        }
    }
}

impl Meters {
    /// Of the stack's PostgreSQL.
    pub(super) async fn of(stack: &Stack) -> anyhow::Result<Self> {
        let mut db = PgConnection::connect(&stack.addresses().superuser_url()).await?;
        sqlx::query(COUNT_STATEMENTS).execute(&mut db).await.context("PostgreSQL lacks its pg_stat_statements")?;
        Ok(Self(db))
    }

    pub(super) async fn read(&mut self, processes: &[(&'static str, i32)]) -> anyhow::Result<Reading> {
        let wal_bytes = sqlx::query_scalar(WRITTEN).fetch_one(&mut self.0).await?;
        let statements = sqlx::query_scalar(STATEMENTS).fetch_one(&mut self.0).await?;
        let cpu_ms = processes.iter().map(|(name, pid)| Ok((*name, cpu_ms(*pid)?))).collect::<anyhow::Result<_>>()?;
        Ok(Reading { statements, wal_bytes, cpu_ms })
    }
}

/// MiB. PostgreSQL's processes share their buffers: each counts for its part of what is shared.
pub(super) fn resident(processes: &[(&'static str, i32)]) -> anyhow::Result<ByProcess> {
    processes.iter().map(|(name, pid)| Ok((*name, resident_kib(*pid)? / 1024.0))).collect()
}

/// PostgreSQL's server forks a process for each connection; all else here is one process.
fn family(pid: i32) -> anyhow::Result<Vec<i32>> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().map(str::parse).collect::<Result<Vec<i32>, _>>()?;
    Ok(std::iter::once(pid).chain(children).collect())
}

/// A tick is 10 ms on Linux. The server's own count includes its children that have ended.
fn cpu_ms(pid: i32) -> anyhow::Result<f64> {
    let mut ticks = 0.0;
    for (nth, member) in family(pid)?.into_iter().enumerate() {
        match std::fs::read_to_string(format!("/proc/{member}/stat")) {
            Ok(stat) => ticks += ticks_of(&stat, nth == 0)?,
            Err(error) if nth == 0 => return Err(error).context("only Linux says how much CPU was spent"),
            // It ended since the list was read, and its parent counts it at the next reading.
            Err(_) => {}
        }
    }
    Ok(ticks * 10.0)
}

/// User and system time; with that of children that have ended, if asked for (`proc_pid_stat(5)`, fields 14 to 17).
fn ticks_of(stat: &str, with_ended: bool) -> anyhow::Result<f64> {
    let (_, fields) = stat.rsplit_once(") ").context("a stat line has a name in parentheses")?;
    let count = if with_ended { 4 } else { 2 };
    fields.split(' ').skip(11).take(count).map(|field| field.parse::<f64>().context("a count of ticks")).sum()
}

fn resident_kib(pid: i32) -> anyhow::Result<f64> {
    let members = family(pid)?;
    if members.len() == 1 {
        let status =
            std::fs::read_to_string(format!("/proc/{pid}/status")).context("only Linux says how much memory is in use")?;
        return kib(&status, "VmRSS:");
    }
    // What it may not read (another user's process), it leaves out.
    let readable = members.iter().filter_map(|member| std::fs::read_to_string(format!("/proc/{member}/smaps_rollup")).ok());
    readable.map(|rollup| kib(&rollup, "Pss:")).sum()
}

fn kib(text: &str, name: &str) -> anyhow::Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// What was measured on: figures without it say nothing.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Machine {
    /// The processor.
    pub cpu: String,
    /// How many the programs may use.
    pub cores: usize,
    /// Memory.
    pub memory_gib: f64,
    /// Linux.
    pub kernel: String,
}

impl Machine {
    pub(super) fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            cpu: model.map_or("unknown", |(_, name)| name).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: kib(&read("/proc/meminfo"), "MemTotal:").unwrap_or_default() / 1024.0 / 1024.0,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_read_whatever_the_program_is_called() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 1 2 3 4 70 30 5 6 20 0 1 0 999";
        assert_eq!(ticks_of(stat, false).expect("a stat line"), 100.0);
        assert_eq!(ticks_of(stat, true).expect("a stat line"), 111.0);
    }

    #[test]
    fn sizes_are_read_in_kib() {
        assert_eq!(kib("Name:\tx\nVmRSS:\t  2048 kB\n", "VmRSS:").expect("it is there"), 2048.0);
        assert!(kib("Name:\tx", "VmRSS:").is_err());
    }

    #[test]
    fn what_was_spent_is_the_difference() {
        let reading = |statements, cpu| Reading { statements, wal_bytes: 0, cpu_ms: ByProcess::from([("order", cpu)]) };
        let spent = reading(50, 30.0).since(&reading(20, 10.0));
        assert_eq!((spent.statements, spent.cpu_ms["order"]), (30, 20.0));
    }
}

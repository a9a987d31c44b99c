//! The faults that are survived, each with what must happen. A test that injects one carries its number in its name,
//! `row_07_…`, or several, `row_12_and_16_…`; `FAULTS.md` is made of both.

/// One line of the table. Its number is its place, counted from one.
pub(super) struct Row {
    pub(super) fault: &'static str,
    pub(super) promise: &'static str,
}

const fn row(fault: &'static str, promise: &'static str) -> Row {
    Row { fault, promise }
}

/// All of them.
pub(super) const ROWS: [Row; 34] = [
    row("crash after the request is read, before commit", "same key again: one order"),
    row(
        "crash after commit, before the answer; the retry may meet another replica, or come while the first commit is in doubt",
        "the same order, replayed",
    ),
    row("crash after commit, before publish; a task panics or is cancelled there while the process lives", "the sweep publishes"),
    row("crash after publish, before striking off", "published again; the reader's claim drops it"),
    row("crash after the reaction's commit, before the ack", "redelivered; the claim drops it"),
    row("crash between a partner's call and the commit of its outcome", "same key: same outcome, one charge"),
    row("duplicate delivery, also hours later; a publish that lands after its timeout", "no second effect"),
    row("any order of delivery; a cancellation first", "tombstone; the late event does nothing"),
    row(
        "poison: undecodable bytes, a version long gone, the impossible",
        "dead-lettered with stable code, reason, original bytes and headers, committed before the ack; neighbours unharmed",
    ),
    row("too early; unknown version during a rolling update", "parked with a deadline, then handled, then a dead letter"),
    row(
        "a transient failure that outlasts the attempts",
        "dead letter, alarm, and the order still ends (R2, R3); replay has its effect or a named nothing. Partner calls of compensations and after the pivot are never given up",
    ),
    row(
        "broker restarts, or is away for minutes, or its link is half open (dropped without reset)",
        "nothing lost; intake to the backlog limit, then 503 with `Retry-After`; noticed within 15 s",
    ),
    row(
        "broker loses its last seconds; its whole disk; some blocks in the middle; its tail, refilled by others since",
        "found by ids; back on the list under a new generation; consumers rebuilt; sagas under way finish",
    ),
    row(
        "stream or durable consumer deleted, purged or changed by hand; a consumer that stands ahead of its stream (2.10 skips silently); a whole stream replayed",
        "repaired from the owner's stored position; no second effect",
    ),
    row("broker's disk full, then room; publish answered `duplicate` for something never stored", "backpressure; then all there"),
    row(
        "Postgres restarts, fails over without loss, refuses connections, pool exhausted, is slow (10 s)",
        "that service not ready, others go on; recovers without a restart",
    ),
    row(
        "connection lost during COMMIT (before or after it took effect); a statement error swallowed so that COMMIT answers ROLLBACK; a request cancelled at any await",
        "the claim tells; no phantom event; no connection goes back to the pool inside a transaction (sqlx issue 4393)",
    ),
    row(
        "Postgres loses its last seconds, or is restored from a backup",
        "detected, intake stopped, `ensemble reconcile` repairs or names each order",
    ),
    row(
        "a leader is paused past its lease, then wakes; hosts' clocks differ by minutes; the database's clock jumps",
        "writes rejected by the token; `clock_timestamp()` of the database decides; correctness rests on tokens and claims, never on time",
    ),
    row(
        "gateway: slow (29 s), 5xx, refused, **answer lost after the charge**, a stored 500 replayed, key forgotten, lookup lags, authorize lands after the void, authorization lapses before capture",
        "breaker, bulkhead, repeat under the same key; authorize and book never draw a second key; one charge; money invariant holds",
    ),
    row(
        "gateway down for long",
        "intents wait; the deadline passes; the order stays `compensating` while an attempt is in doubt, then ends `rejected`/`expired`, nothing charged",
    ),
    row("a compensation's own call fails", "retried for ever, alarm, order stays `compensating`"),
    row("cancel, or the deadline, races every step in the same millisecond", "one of the two ends, all invariants hold"),
    row("cancel after dispatch; dispatch before capture", "refused"),
    row(
        "slow consumer; burst of 10 times capacity",
        "memory bounded; 429/503 at the edge; back to normal within a minute at 80 % load",
    ),
    row("disk of a database full", "writes fail cleanly, 503, recovery without loss when there is room"),
    row("partition between one service and the broker, and healing", "as 12, for that service only"),
    row(
        "old and new version side by side, both directions; new events in the stream after a rollback; two versions start at once on an empty database",
        "both work; golden files; migrations run once, also under load",
    ),
    row(
        "replicas 1 → 3 → 1 under load, rolling restart of everything, a crash loop",
        "no failed request beyond retryable 503, nothing lost",
    ),
    row(
        "an hour-long transaction (a dump) pins the vacuum horizon; a partition is missing at midnight; a drop meets a reader",
        "throughput holds within 20 %; partitions are made a week ahead; drops wait and retry",
    ),
    row(
        "dead letter replayed twice, by two operators, out of order, after the end, after retention; the store of dead letters itself away",
        "one effect or a named nothing; never acked without being stored",
    ),
    row(
        "permission or certificate revoked while running; an event that cannot be published",
        "a clear error and an alarm, not an endless retry; never skipped silently",
    ),
    row("console rebuilt under traffic", "zero effects"),
    row(
        "garbage in: truncated JSON, huge numbers, NUL bytes, 1 MB headers, deep nesting, wrong UTF-8",
        "a problem answer, never a 500, never a panic",
    ),
];

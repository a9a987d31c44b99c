# What a developer calls, and CI calls the same. Whatever needs an `if` is Rust: `cargo ensemble --help`.

_list:
    @just --list --unsorted

# Builds what is needed, starts the stack and returns when it is ready.
[group('stack')]
up:
    @cargo ensemble up

# Stops the stack and keeps its data, unless told `--volumes`.
[group('stack')]
down *flags:
    @cargo ensemble down {{ flags }}

# Says how each part of the stack fares.
[group('stack')]
status *flags:
    @cargo ensemble status {{ flags }}

# Shows what the parts have logged, or the one that is named; `--follow` goes on.
[group('stack')]
logs *part:
    @cargo ensemble logs {{ part }}

# Plays five orders, one for each way of ending, and prints what happened to each.
[group('stack')]
demo *flags:
    @cargo ensemble demo {{ flags }}

# Checks the six invariants over the four databases and the partners' ledgers.
[group('stack')]
audit *flags:
    @cargo ensemble audit {{ flags }}

# Writes down what the stack has done, and replays it through the production reactions.
[group('stack')]
record file="target/recording.json":
    @cargo ensemble record --output {{ file }} && cargo ensemble conform {{ file }}

# Checks what a stack needs of this machine, and says how to get what is missing.
[group('stack')]
doctor *flags:
    @cargo ensemble doctor {{ flags }}

# Runs every test.
[group('code')]
test *flags:
    cargo test {{ flags }}

# Runs the end-to-end tests alone.
[group('code')]
e2e *flags:
    cargo test --test e2e {{ flags }}

# Lets everything go wrong under load, as a seed has it, then audits: `--seed 7 --minutes 3 --orders 2000`.
[group('code')]
chaos *flags:
    @cargo ensemble chaos {{ flags }}

# Measures a release build beside its baselines: `--json`, `--kill payment`, `--after 1000000`, `--pin`, `--plot FILE`.
[group('code')]
bench *flags:
    @cargo run --quiet --release --package ensemble -- bench {{ flags }}

# Checks the choreography before anything runs: its declarations, every state that an order can come to, and many orders under faults.
[group('code')]
check *flags:
    @cargo ensemble check {{ flags }}

# Plants mistakes into the domains, one at a time, and says which of them the checker finds; `payment` takes those of payment.
[group('code')]
mutants *which:
    @cargo ensemble mutants {{ which }}

# Takes the defences against faults out, one at a time, and says which test fails without each; `claim` takes out those of claims.
[group('code')]
defences *which:
    @cargo ensemble defences {{ which }}

# Makes every small change to the domains that cargo-mutants knows, and lists those that no test of their crate sees.
[group('code')]
cargo-mutants *flags:
    cargo mutants {{ flags }}

# Simulates many orders under random faults: `--schedules 1000000 --seed 7 --orders 20`.
[group('code')]
simulate *flags:
    cargo run --release --bin ensemble -- simulate {{ flags }}

# Draws the dance from the declarations: `--format svg`, `mermaid`, `dot` or `table`, `--output FILE`.
[group('code')]
graph *flags:
    @cargo ensemble graph {{ flags }}

# Formats the code.
[group('code')]
fmt:
    cargo fmt --all

# Denies what rustfmt, clippy and rustdoc warn of.
[group('code')]
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- --deny warnings
    RUSTDOCFLAGS='--deny warnings' cargo doc --workspace --no-deps --document-private-items --locked

# Denies dependencies with another licence, another source, or a second TLS provider.
[group('code')]
deny:
    cargo deny --locked check --hide-inclusion-graph bans licenses sources

# Runs what CI runs.
[group('code')]
ci: lint deny test

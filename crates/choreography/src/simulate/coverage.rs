//! What was visited: which input met which state, and which fault hit which step.

use std::fmt::Write as _;

use saga::Door;

use super::{act::Fault, seat::Seat};

/// Two matrices for each service. Those of several runs can be added up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coverage {
    services: Vec<Service>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Service {
    name: &'static str,
    rows: Vec<Row>,
    states: Vec<String>,
    /// By row, then by state.
    met: Vec<u64>,
    /// By row, then by fault.
    faults: Vec<u64>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Row {
    input: &'static str,
    step: &'static str,
    event: bool,
    says: bool,
    asks: bool,
    simulated: bool,
}

impl Coverage {
    pub(super) fn new(seats: &[Box<dyn Seat>]) -> Self {
        Self { services: seats.iter().map(|seat| Service::new(seat.as_ref())).collect() }
    }

    pub(super) fn met(&mut self, seat: usize, row: usize, state: usize) {
        let service = &mut self.services[seat];
        let at = row * service.states.len() + state;
        service.met[at] += 1;
    }

    pub(super) fn fault(&mut self, fault: Fault, seat: usize, row: usize) {
        self.services[seat].faults[row * Fault::ALL.len() + fault as usize] += 1;
    }

    /// Adds what another run has visited.
    pub fn add(&mut self, other: &Self) {
        for (own, other) in self.services.iter_mut().zip(&other.services) {
            own.met.iter_mut().zip(&other.met).for_each(|(own, other)| *own += other);
            own.faults.iter_mut().zip(&other.faults).for_each(|(own, other)| *own += other);
        }
    }

    /// How often that input met that state; names as in the declaration and in the table.
    pub fn visits(&self, service: &str, input: &str, state: &str) -> u64 {
        let Some(service) = self.services.iter().find(|known| known.name == service) else { return 0 };
        let row = service.rows.iter().position(|row| row.input == input);
        let state = service.states.iter().position(|known| known == state);
        row.zip(state).map_or(0, |(row, state)| service.met[row * service.states.len() + state])
    }

    /// How often that fault hit that step.
    pub fn faults(&self, fault: &str, service: &str, step: &str) -> u64 {
        let Some(fault) = Fault::ALL.into_iter().find(|known| known.name() == fault) else { return 0 };
        self.services.iter().filter(|known| known.name == service).map(|service| service.hit(fault, step)).sum()
    }

    /// What was never visited: an input that never met a state, a fault that never hit a step that it can hit.
    pub fn never(&self) -> Vec<String> {
        let mut never = Vec::new();
        for service in &self.services {
            for (row, number) in service.rows.iter().zip(0..).filter(|(row, _)| row.simulated) {
                for (state, at) in service.states.iter().zip(0..) {
                    if service.met[number * service.states.len() + at] == 0 {
                        never.push(format!("{}: {} in {state}", service.name, row.input));
                    }
                }
            }
            for step in service.steps() {
                for fault in Fault::ALL.into_iter().filter(|fault| service.can_hit(*fault, step)) {
                    if service.hit(fault, step) == 0 {
                        never.push(format!("{}: {} at {step}", service.name, fault.name()));
                    }
                }
            }
        }
        never
    }
}

impl Service {
    fn new(seat: &dyn Seat) -> Self {
        let declaration = seat.declaration();
        let rows: Vec<Row> = declaration
            .rows
            .iter()
            .map(|row| {
                let step = declaration.step(row.step);
                Row {
                    input: row.input,
                    step: row.step,
                    event: row.door == Door::Event,
                    says: step.is_some_and(|step| !step.says.is_empty()),
                    asks: step.is_some_and(|step| !step.asks.is_empty()),
                    simulated: row.door != Door::Command,
                }
            })
            .collect();
        let states: Vec<String> = (0..seat.states()).map(|state| seat.state_name(state).to_owned()).collect();
        let (met, faults) = (vec![0; rows.len() * states.len()], vec![0; rows.len() * Fault::ALL.len()]);
        Self { name: declaration.service, rows, states, met, faults }
    }

    /// Steps of simulated inputs, each once, in the order of the table.
    fn steps(&self) -> Vec<&'static str> {
        let mut steps: Vec<&'static str> = Vec::new();
        for row in self.rows.iter().filter(|row| row.simulated) {
            if !steps.contains(&row.step) {
                steps.push(row.step);
            }
        }
        steps
    }

    fn hit(&self, fault: Fault, step: &str) -> u64 {
        let rows = self.rows.iter().zip(0..).filter(|(row, _)| row.step == step);
        rows.map(|(_, number): (_, usize)| self.faults[number * Fault::ALL.len() + fault as usize]).sum()
    }

    fn can_hit(&self, fault: Fault, step: &str) -> bool {
        let mut rows = self.rows.iter().filter(|row| row.step == step);
        match fault {
            Fault::Repeated => rows.any(|row| row.event),
            Fault::Crashed | Fault::Unacknowledged | Fault::TailLost | Fault::DiskLost => rows.any(|row| row.says),
            Fault::AnswerLost | Fault::Declined | Fault::Burned => rows.any(|row| row.asks),
        }
    }

    fn write(&self, text: &mut String) {
        let _ = writeln!(text, "\n{}: input × state", self.name);
        let width = self.rows.iter().map(|row| row.input.len()).max().unwrap_or_default();
        let _ = write!(text, "{:width$}", "");
        for state in &self.states {
            let _ = write!(text, "  {state:>7}");
        }
        text.push('\n');
        for (row, number) in self.rows.iter().zip(0..).filter(|(row, _)| row.simulated) {
            let _ = write!(text, "{:width$}", row.input);
            for (state, at) in self.states.iter().zip(0..) {
                let wide = state.len().max(7);
                let _ = write!(text, "  {:>wide$}", self.met[number * self.states.len() + at]);
            }
            text.push('\n');
        }
        let _ = writeln!(text, "{}: step × fault", self.name);
        let _ = write!(text, "{:width$}", "");
        for fault in Fault::ALL {
            let _ = write!(text, "  {:>7}", fault.name());
        }
        text.push('\n');
        for step in self.steps() {
            let _ = write!(text, "{step:width$}");
            for fault in Fault::ALL {
                let wide = fault.name().len().max(7);
                let hits = if self.can_hit(fault, step) { self.hit(fault, step).to_string() } else { "–".to_owned() };
                let _ = write!(text, "  {hits:>wide$}");
            }
            text.push('\n');
        }
    }
}

/// The matrices.
impl std::fmt::Display for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        self.services.iter().for_each(|service| service.write(&mut text));
        f.write_str(text.trim_start())
    }
}

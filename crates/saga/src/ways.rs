//! The steps of all services and the events between them, in a form that the compiler can walk.

use events::EventInfo;

use crate::{Declaration, Door, Kind, StepDecl, finding::same};

/// A set of steps has a bit for each.
pub(crate) type Steps = u128;
const STEPS_MAX: usize = 128;
const EDGES_MAX: usize = 512;

/// A step, with whose it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) service: &'static str,
    pub(crate) step: &'static StepDecl,
}

/// An event on its way from one step to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) event: &'static EventInfo,
}

/// Everything that can lead to something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ways {
    places: [Option<Place>; STEPS_MAX],
    pub(crate) count: usize,
    edges: [Option<Edge>; EDGES_MAX],
    edge_count: usize,
}

/// Which events are followed.
#[derive(Clone, Copy)]
enum Way {
    Forward,
    Back,
    Either,
}

impl Ways {
    pub(crate) const fn of(services: &[Declaration]) -> Self {
        let mut ways = Self { places: [None; STEPS_MAX], count: 0, edges: [None; EDGES_MAX], edge_count: 0 };
        let mut service = 0;
        while service < services.len() {
            let (name, steps) = (services[service].service, services[service].steps);
            let mut step = 0;
            while step < steps.len() {
                assert!(
                    ways.count < STEPS_MAX,
                    "there are more steps than a set has bits: widen `Steps` in crates/saga/src/ways.rs"
                );
                ways.places[ways.count] = Some(Place { service: name, step: &steps[step] });
                ways.count += 1;
                step += 1;
            }
            service += 1;
        }
        let mut from = 0;
        while from < ways.count {
            let says = ways.place(from).step.says;
            let mut event = 0;
            while event < says.len() {
                ways.add_readers(services, from, says[event]);
                event += 1;
            }
            from += 1;
        }
        ways
    }

    const fn add_readers(&mut self, services: &[Declaration], from: usize, event: &'static EventInfo) {
        let (mut service, mut first) = (0, 0);
        while service < services.len() {
            let mut row = 0;
            while row < services[service].rows.len() {
                let candidate = &services[service].rows[row];
                if matches!(candidate.door, Door::Event) && same(candidate.input, event.ty) {
                    let to = first + step_named(services[service].steps, candidate.step);
                    assert!(
                        self.edge_count < EDGES_MAX,
                        "there are more ways than fit: raise `EDGES_MAX` in crates/saga/src/ways.rs"
                    );
                    self.edges[self.edge_count] = Some(Edge { from, to, event });
                    self.edge_count += 1;
                }
                row += 1;
            }
            first += services[service].steps.len();
            service += 1;
        }
    }

    pub(crate) const fn place(&self, at: usize) -> Place {
        match self.places[at] {
            Some(place) => place,
            None => panic!("a step that is not there"),
        }
    }

    pub(crate) const fn kind(&self, at: usize) -> Kind {
        self.place(at).step.kind
    }

    /// The edge of that number, while there are any.
    pub(crate) const fn edge(&self, number: usize) -> Option<Edge> {
        if number < self.edge_count { self.edges[number] } else { None }
    }

    /// An event that somebody takes back for.
    pub(crate) const fn is_back(&self, edge: &Edge) -> bool {
        matches!(self.kind(edge.to), Kind::Undo)
    }

    const fn is_forward(&self, edge: &Edge) -> bool {
        matches!(self.kind(edge.to), Kind::Compensatable | Kind::Pivot | Kind::Retriable)
            && !matches!(self.kind(edge.from), Kind::Undo)
    }

    /// Everything that success of this step can lead to.
    pub(crate) const fn forward_from(&self, step: usize) -> Steps {
        self.closed(self.next(1 << step, Way::Forward), Way::Forward)
    }

    /// These undos, and all that their words wake.
    pub(crate) const fn back_from(&self, undos: Steps) -> Steps {
        self.closed(undos, Way::Back)
    }

    /// These steps, and all that may come of them either way.
    pub(crate) const fn anywhere_from(&self, steps: Steps) -> Steps {
        self.closed(steps, Way::Either)
    }

    /// These steps, and all that they lead to along that way.
    const fn closed(&self, mut reached: Steps, way: Way) -> Steps {
        loop {
            let more = reached | self.next(reached, way);
            if more == reached {
                return reached;
            }
            reached = more;
        }
    }

    /// Where the words of these steps lead along that way.
    const fn next(&self, steps: Steps, way: Way) -> Steps {
        let (mut reached, mut at) = (0, 0);
        while let Some(edge) = self.edge(at) {
            let leads = match way {
                Way::Forward => self.is_forward(&edge),
                Way::Back => self.is_back(&edge),
                Way::Either => true,
            };
            if leads && has(steps, edge.from) {
                reached |= 1 << edge.to;
            }
            at += 1;
        }
        reached
    }

    /// The steps that hear what this one says.
    pub(crate) const fn readers(&self, from: usize, event: &EventInfo) -> Steps {
        let (mut readers, mut at) = (0, 0);
        while let Some(edge) = self.edge(at) {
            if edge.from == from && same(edge.event.ty, event.ty) {
                readers |= 1 << edge.to;
            }
            at += 1;
        }
        readers
    }

    /// Where the step of that name of the same service is.
    pub(crate) const fn sibling(&self, of: usize, name: &str) -> Option<usize> {
        let mut at = 0;
        while at < self.count {
            if same(self.place(at).service, self.place(of).service) && same(self.place(at).step.name, name) {
                return Some(at);
            }
            at += 1;
        }
        None
    }
}

pub(crate) const fn has(steps: Steps, step: usize) -> bool {
    steps & (1 << step) != 0
}

const fn step_named(steps: &[StepDecl], name: &str) -> usize {
    let mut at = 0;
    while at < steps.len() {
        if same(steps[at].name, name) {
            return at;
        }
        at += 1;
    }
    panic!("a row belongs to a step that is not there")
}

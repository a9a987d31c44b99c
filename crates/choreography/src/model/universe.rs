//! What one order can be, can hear and can ask, found out by asking the production functions: each service's reaction to each
//! input in each state is computed once, by [`saga::examples::attempt`] (want, load, decide, write), and then looked up. That
//! is sound because reactions are pure: a state of the model is a handful of numbers, and yet nothing here knows a rule of the dance.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hash, Hasher},
    panic::{AssertUnwindSafe, catch_unwind},
};

use events::{Currency, Event, EventData as _, Money, OrderId, Sku};
use inventory::{Inventory, Shelves, Stock};
use order::{Order, Orders, Product, Purchase};
use payment::{Hold, Holds, Payment};
use saga::{
    Because, Inputs as _, Participant,
    batch::Verdict,
    examples::{CONTEXT, Tried, attempt},
};
use shipping::{Shipment, Shipments, Shipping};
use uuid::Uuid;

use self::alike::{without_number, without_numbers, without_versions};
use super::{Channel, batches, versions};
use crate::{
    SERVICES,
    checks::in_panic,
    partners::{PartnerCall, Word, carrier_answers, gateway_answers},
    simulate::place,
};

mod alike;
mod judged;

/// Numbers hash quickly, and nobody attacks the checker.
#[derive(Default)]
pub(super) struct Quick(u64);

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }
    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }
    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
}

pub(super) type QuickMap<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;

/// Gives each value a number, in the order in which they come.
pub(super) struct Interner<T> {
    all: Vec<T>,
    ids: QuickMap<T, u32>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { all: Vec::new(), ids: QuickMap::default() }
    }
}

impl<T: Clone + Eq + Hash> Interner<T> {
    pub(super) fn id(&mut self, value: &T) -> u32 {
        if let Some(id) = self.ids.get(value) {
            return *id;
        }
        let id = u32::try_from(self.all.len()).expect("four thousand million different values do not fit into memory");
        self.all.push(value.clone());
        self.ids.insert(value.clone(), id);
        id
    }

    pub(super) fn get(&self, id: u32) -> &T {
        &self.all[id as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

/// Who takes an input.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Service {
    Order,
    Inventory,
    Payment,
    Shipping,
}

impl Service {
    const ALL: [Self; 4] = [Self::Order, Self::Inventory, Self::Payment, Self::Shipping];

    pub(super) const fn name(self) -> &'static str {
        SERVICES[self as usize].service
    }
}

/// An event on its way to one reader.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Message {
    pub(super) reader: Service,
    pub(super) event: Event,
}

/// An input, by the numbers of what it names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Stimulus {
    Place,
    Cancel,
    Dispatch,
    Overdue,
    Message(u8),
    Answer(u8, Word),
}

/// What a service does with an input in a state.
#[derive(Clone, Debug)]
pub(super) struct Reaction {
    /// The state afterwards, by number.
    pub(super) row: u32,
    /// To whom it says what, by number.
    pub(super) said: Vec<u8>,
    /// What it says, by name; also what nobody hears.
    pub(super) words: Vec<&'static str>,
    /// What it asks of a partner, by number.
    pub(super) asked: Vec<u8>,
    /// The deadline is set, or dropped.
    pub(super) wake: Option<bool>,
    /// Why nothing leaves the house, if so.
    pub(super) because: Option<Because>,
    /// A command was refused.
    pub(super) refused: bool,
    /// It must not have come to this.
    pub(super) wrong: Option<String>,
}

/// One order: everything that was ever met about it.
pub(super) struct Universe {
    pub(super) id: OrderId,
    pub(super) purchases: Interner<Option<Purchase>>,
    pub(super) holds: Interner<Hold>,
    pub(super) shipments: Interner<Shipment>,
    pub(super) messages: Interner<Message>,
    pub(super) calls: Interner<PartnerCall>,
    known: QuickMap<(u8, u32, u64), u32>,
    reactions: Vec<Reaction>,
}

/// How many different messages and calls about one order fit into a state.
const MESSAGES_MAX: usize = 128;
pub(super) const CALLS_MAX: usize = 16;

/// What an order is of: two pieces of the first, on two lines, and one of the second.
const PRODUCTS: [(&str, i64); 2] = [("TEA-001", 1250), ("POT-001", 2400)];

fn products() -> [(Sku, Money); 2] {
    PRODUCTS.map(|(sku, price)| (sku.into(), Money::new(price, Currency::EUR)))
}

/// Enough of the first product for everybody, and that many of the second.
pub(super) fn shelves(stock: u32) -> Shelves {
    let mut shelves = Shelves::default();
    for ((sku, price), count) in products().into_iter().zip([4, stock]) {
        let name = sku.to_string();
        let stock = Stock { name, price, on_hand: count, reserved: 0, sold: 0, received: count, version: 1 };
        shelves.stock.put(sku, Some(stock));
    }
    shelves
}

impl Universe {
    /// The order of that number.
    pub(super) fn new(number: u128) -> Self {
        let base = Uuid::from_u128(0x0193_5d3e_8000_7000_8000_0000_0000_0000);
        let mut universe = Self {
            id: OrderId(Uuid::from_u128(base.as_u128() + 1 + number)),
            purchases: Interner::default(),
            holds: Interner::default(),
            shipments: Interner::default(),
            messages: Interner::default(),
            calls: Interner::default(),
            known: QuickMap::default(),
            reactions: Vec::new(),
        };
        // Number 0 is where everybody begins.
        universe.purchases.id(&None);
        universe.holds.id(&Hold::default());
        universe.shipments.id(&Shipment::default());
        universe
    }

    /// What the service does with it in that state.
    pub(super) fn react(&mut self, service: Service, row: u32, what: Stimulus, shelves: &mut Interner<Shelves>) -> u32 {
        let code = match what {
            Stimulus::Place => 0,
            Stimulus::Cancel => 1,
            Stimulus::Dispatch => 2,
            Stimulus::Overdue => 3,
            Stimulus::Message(message) => 0x100 + u64::from(message),
            Stimulus::Answer(call, word) => 0x1000 + u64::from(call) * 4 + word as u64,
        };
        let key = (service as u8, row, code);
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let reaction = match service {
            Service::Order => self.order(row, what),
            Service::Inventory => self.inventory(row, what, shelves),
            Service::Payment => self.payment(row, what),
            Service::Shipping => self.shipping(row, what),
        };
        let id = self.reactions.len() as u32;
        self.reactions.push(reaction);
        self.known.insert(key, id);
        id
    }

    pub(super) fn reaction(&self, id: u32) -> &Reaction {
        &self.reactions[id as usize]
    }

    /// Which of a set of messages, by number.
    pub(super) fn messages_in(&self, set: u128) -> impl Iterator<Item = u8> + use<> {
        (0..self.messages.len() as u8).filter(move |message| set & (1 << message) != 0)
    }

    /// On which way a message is, and to whom.
    pub(super) fn channel(&self, message: u8) -> (Channel, Service) {
        let Message { reader, event } = self.messages.get(message.into());
        (Channel { event: event.info().name, reader: reader.name() }, *reader)
    }

    /// Who said it.
    pub(super) fn speaker(&self, message: u8) -> &'static str {
        self.messages.get(message.into()).event.info().owner
    }

    fn event(&self, message: u8) -> Event {
        self.messages.get(message.into()).event.clone()
    }

    fn order(&mut self, row: u32, what: Stimulus) -> Reaction {
        let mut before = Orders::default();
        for (sku, price) in products() {
            before.catalog.put(sku, Some(Product { price, version: 1 }));
        }
        before.orders.put(self.id, self.purchases.get(row).clone());
        let input = match what {
            Stimulus::Place => order::Input::PlaceOrder(place(self.id, &[0, 1, 0].map(|at| (PRODUCTS[at].0.into(), 1)))),
            Stimulus::Cancel => order::Input::CancelOrder(order::CancelOrder { order: self.id }),
            Stimulus::Overdue => order::Input::Overdue(order::Overdue { order: self.id }),
            Stimulus::Message(message) => hear::<Order>(self.event(message)),
            Stimulus::Dispatch | Stimulus::Answer(..) => unreachable!("order has no such input"),
        };
        let tried = run::<Order>(&before, &input);
        let after = tried.as_ref().map_or(&before, |tried| &tried.after);
        let purchase = after.orders.rows().find(|(id, _)| **id == self.id).and_then(|(_, row)| row.clone());
        let row = self.purchases.id(&purchase.map(without_numbers));
        self.note(row, tried, |call| match *call {})
    }

    fn inventory(&mut self, row: u32, what: Stimulus, shelves: &mut Interner<Shelves>) -> Reaction {
        let before = shelves.get(row).clone();
        let input = match what {
            Stimulus::Message(message) => hear::<Inventory>(self.event(message)),
            Stimulus::Place | Stimulus::Cancel | Stimulus::Dispatch | Stimulus::Overdue | Stimulus::Answer(..) => {
                unreachable!("inventory has no such input about an order")
            }
        };
        let tried = run::<Inventory>(&before, &input);
        let after = tried.as_ref().map_or(&before, |tried| &tried.after);
        let row = shelves.id(&without_versions(after));
        self.note(row, tried, |call| match *call {})
    }

    fn payment(&mut self, row: u32, what: Stimulus) -> Reaction {
        let mut before = Holds::default();
        before.holds.put(self.id, self.holds.get(row).clone());
        let input = match what {
            Stimulus::Message(message) => hear::<Payment>(self.event(message)),
            Stimulus::Answer(call, word) => match self.calls.get(call.into()) {
                PartnerCall::Gateway(call) => gateway_answers(call, word, CONTEXT.now),
                PartnerCall::Carrier(_) => unreachable!("the carrier answers shipping"),
            },
            Stimulus::Place | Stimulus::Cancel | Stimulus::Dispatch | Stimulus::Overdue => {
                unreachable!("payment has no such input")
            }
        };
        let tried = run::<Payment>(&before, &input);
        let after = tried.as_ref().map_or(&before, |tried| &tried.after);
        let hold = after.holds.rows().find(|(id, _)| **id == self.id).map(|(_, hold)| hold.clone()).unwrap_or_default();
        let row = self.holds.id(&hold);
        self.note(row, tried, |call| PartnerCall::Gateway(call.clone()))
    }

    fn shipping(&mut self, row: u32, what: Stimulus) -> Reaction {
        let mut before = Shipments::default();
        before.shipments.put(self.id, self.shipments.get(row).clone());
        let input = match what {
            Stimulus::Message(message) => hear::<Shipping>(self.event(message)),
            Stimulus::Dispatch => shipping::Input::DispatchShipment(shipping::DispatchShipment { order: self.id }),
            Stimulus::Answer(call, word) => match self.calls.get(call.into()) {
                PartnerCall::Carrier(call) => carrier_answers(call, word, CONTEXT.now),
                PartnerCall::Gateway(_) => unreachable!("the gateway answers payment"),
            },
            Stimulus::Place | Stimulus::Cancel | Stimulus::Overdue => unreachable!("shipping has no such input"),
        };
        let tried = run::<Shipping>(&before, &input);
        let after = tried.as_ref().map_or(&before, |tried| &tried.after);
        let shipment =
            after.shipments.rows().find(|(id, _)| **id == self.id).map(|(_, shipment)| shipment.clone()).unwrap_or_default();
        let row = self.shipments.id(&shipment);
        self.note(row, tried, |call| PartnerCall::Carrier(call.clone()))
    }

    fn note<P: Participant>(
        &mut self,
        row: u32,
        tried: Result<Tried<P>, String>,
        partner_call: fn(&P::Call) -> PartnerCall,
    ) -> Reaction {
        let mut reaction = Reaction {
            row,
            said: Vec::new(),
            words: Vec::new(),
            asked: Vec::new(),
            wake: None,
            because: None,
            refused: false,
            wrong: None,
        };
        let service = P::DECLARATION.service;
        let tried = match tried {
            Ok(tried) => tried,
            Err(wrong) => {
                reaction.wrong = Some(format!("{service} {wrong}"));
                return reaction;
            }
        };
        match &tried.verdict {
            Verdict::Taken(taken) => {
                reaction.because = taken.because;
                reaction.wake = taken.wakes.last().map(|wake| wake.at.is_some());
            }
            Verdict::NotYet(_) => reaction.wrong = Some(format!("{service} meets what cannot have come so early")),
            Verdict::Contradiction(_) => reaction.wrong = Some(format!("{service} meets what cannot be true")),
            Verdict::Refused(_) => reaction.refused = true,
            Verdict::Repeated => {}
        }
        for event in tried.said() {
            let event = without_number(event.clone());
            reaction.words.push(event.info().name);
            reaction.wrong = reaction.wrong.or_else(|| Some(format!("{service} {}", versions::wrong(&event)?)));
            for reader in Service::ALL.into_iter().filter(|reader| SERVICES[*reader as usize].is_heard(event.info().ty)) {
                let id = self.messages.id(&Message { reader, event: event.clone() });
                assert!((id as usize) < MESSAGES_MAX, "more than {MESSAGES_MAX} different messages about one order");
                reaction.said.push(id as u8);
            }
        }
        for call in tried.asked() {
            let id = self.calls.id(&partner_call(call));
            assert!((id as usize) < CALLS_MAX, "more than {CALLS_MAX} different calls about one order");
            reaction.asked.push(id as u8);
        }
        reaction
    }
}

fn hear<P: Participant>(event: Event) -> P::Input {
    P::Input::hear(event).expect("only what a service's declaration names is sent to it")
}

/// The production function; a panic of it is a finding, and so is a batch that does not keep its rules.
fn run<P: Participant>(before: &P::Records, input: &P::Input) -> Result<Tried<P>, String> {
    let run = || {
        let tried = attempt::<P>(before, input);
        batches::wrong(before, input, &tried).map_or(Ok(tried), |wrong| Err(wrong.to_owned()))
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(format!("panics: {}", in_panic(&*panic))))
}

/// What tells messages of one type apart: why, and whether it is asked again.
pub(super) fn detail(event: &Event) -> String {
    let again = matches!(event, Event::OrderCancellationRequested(request) if request.asking > 1);
    let data: serde_json::Value = serde_json::from_slice(&event.encode()).unwrap_or_default();
    let because = data.get("because").and_then(serde_json::Value::as_str);
    match (because, again) {
        (Some(because), true) => format!(" ({because}, asked again)"),
        (Some(because), false) => format!(" ({because})"),
        (None, _) => String::new(),
    }
}

/// The ends that an order announces, and that it stands: what is never to be taken back.
pub(super) fn told(words: &[&'static str]) -> [usize; 3] {
    let of = |ty: &str| words.iter().filter(|word| **word == ty).count();
    [
        of(<events::OrderConfirmed as events::EventData>::INFO.name),
        of(<events::OrderRejected as events::EventData>::INFO.name),
        of(events::OrderCancelled::INFO.name),
    ]
}

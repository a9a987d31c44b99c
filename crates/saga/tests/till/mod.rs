//! A participant with a drawer for each order, a row for every door, and one mistake on demand.

use events::*;
use saga::examples::{Examples, name_of, names_of};
use saga::{Answered, Command, Request, Table};
use serde::{Deserialize, Serialize};

pub use reactions::{Call, Input, Payment};

/// What is wrong with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Mistake {
    #[default]
    None,
    SilentTombstone,
    IgnoresTheCall,
    AsksAgain,
    LetsGoTwice,
    TellsOnce,
}

saga::records! {
    /// The drawers, and the mistake.
    pub struct Till {
        /// One for each order.
        pub drawers: Table<OrderId, Drawer>,
        /// The mistake.
        pub mistake: Table<(), Mistake>,
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Drawer {
    #[default]
    Absent,
    Holding,
    Doomed,
    Held,
    Letting {
        attempt: u32,
    },
    Buried,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct HoldMoney {
    pub order: OrderId,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct LetGo {
    pub order: OrderId,
    pub attempt: u32,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Close {
    pub order: OrderId,
}

impl Request for HoldMoney {
    type Answer = ();
    fn order(&self) -> OrderId {
        self.order
    }
}

impl Request for LetGo {
    type Answer = bool;
    fn order(&self) -> OrderId {
        self.order
    }
    fn attempt(&self) -> u32 {
        self.attempt
    }
}

impl Command for Close {
    fn order(&self) -> Option<OrderId> {
        Some(self.order)
    }
}

saga::deadline! {
    /// The gateway takes long.
    Overdue
}

mod reactions {
    use events::*;

    use super::{domain::*, *};

    saga::reactions! {
        "payment": Payment keeps Till;
        /// Holds the money.
        step Hold: undone by GiveBack {
            on       StockReserved     => hold;
            answer   HoldMoney         => held;
            deadline Overdue           => overdue;
            says     PaymentAuthorized;
            asks     HoldMoney, LetGo;
        }
        /// Closes a drawer that nobody uses.
        step Shut: alone {
            command  Close             => close;
        }
        /// Gives it back.
        undo GiveBack {
            on       ShipmentRefused   => too_early;
            on       ShipmentCancelled => give_back;
            answer   LetGo             => let_go;
            confirms PaymentVoided;
            asks     LetGo;
        }
    }
}

mod domain {
    use saga::{Because::*, *};

    use super::{reactions::step, *};

    const BECAUSE: Reason = Reason::CustomerRequest;

    pub(super) fn touches(input: &Input, till: &mut Till) {
        till.drawers.want(Inputs::saga(input));
        till.mistake.want([()]);
    }

    pub(super) fn hold(till: &mut Till, e: &StockReserved, ctx: &Context) -> Outcome<step::Hold> {
        let again = *till.mistake.read(&()) == Mistake::AsksAgain;
        match till.drawers.of(&e.order_id) {
            drawer @ Drawer::Absent => {
                *drawer = Drawer::Holding;
                ask(HoldMoney { order: e.order_id }).and_wake::<Overdue>(ctx.now.after(ctx.patience))
            }
            Drawer::Holding if again => ask(HoldMoney { order: e.order_id }),
            Drawer::Holding | Drawer::Doomed | Drawer::Held | Drawer::Letting { .. } => nothing(AlreadyDone),
            Drawer::Buried => nothing(Tombstone),
        }
    }

    pub(super) fn held(till: &mut Till, a: &Answered<HoldMoney>, ctx: &Context) -> Outcome<step::Hold> {
        let order = a.call.order;
        let drawer = till.drawers.of(&order);
        match drawer {
            Drawer::Holding => {
                *drawer = Drawer::Held;
                let ship_to = Address {
                    name: "Ada".into(),
                    street: "1 Main St".into(),
                    city: "Berlin".into(),
                    postal_code: "10115".into(),
                    country: "DE".into(),
                };
                say(PaymentAuthorized { order_id: order, ship_to, charge: "pi_1".into(), capture_before: ctx.now })
                    .and_rest::<Overdue>()
            }
            Drawer::Doomed => {
                *drawer = Drawer::Letting { attempt: 1 };
                ask(LetGo { order, attempt: 1 }).and_rest::<Overdue>()
            }
            Drawer::Absent => contradiction(),
            Drawer::Held | Drawer::Letting { .. } | Drawer::Buried => nothing(AlreadyDone),
        }
    }

    pub(super) fn overdue(till: &mut Till, d: &Overdue, ctx: &Context) -> Outcome<step::Hold> {
        match till.drawers.read(&d.order) {
            Drawer::Holding | Drawer::Doomed => {
                nothing(UnderWay).and_wake::<Overdue>(ctx.now.after(ctx.patience)).and_alarm("still waiting")
            }
            Drawer::Absent | Drawer::Held | Drawer::Letting { .. } | Drawer::Buried => nothing(Known),
        }
    }

    pub(super) fn close(till: &mut Till, c: &Close, _: &Context) -> Reply<step::Shut> {
        match till.drawers.read(&c.order) {
            Drawer::Absent | Drawer::Buried => Ok(nothing(Known).answering(Receipt::new(200, &c.order))),
            Drawer::Holding | Drawer::Doomed | Drawer::Held | Drawer::Letting { .. } => {
                Err(Problem::new(409, "drawer-in-use", "The drawer is in use", "There is money in it."))
            }
        }
    }

    pub(super) fn too_early(till: &mut Till, e: &ShipmentRefused, _: &Context) -> Outcome<step::GiveBack> {
        // What a verb changed before it said "not yet" is forgotten.
        *till.drawers.of(&e.order_id) = Drawer::Held;
        not_yet(TooEarly)
    }

    pub(super) fn give_back(till: &mut Till, e: &ShipmentCancelled, _: &Context) -> Outcome<step::GiveBack> {
        let (order_id, mistake) = (e.order_id, *till.mistake.read(&()));
        let drawer = till.drawers.of(&order_id);
        let voided = || say(PaymentVoided { order_id, because: BECAUSE });
        match drawer {
            Drawer::Absent => {
                *drawer = Drawer::Buried;
                if mistake == Mistake::SilentTombstone { confirmed() } else { voided() }
            }
            Drawer::Holding | Drawer::Doomed => {
                if mistake != Mistake::IgnoresTheCall {
                    *drawer = Drawer::Doomed;
                }
                confirms_later()
            }
            Drawer::Held => {
                *drawer = Drawer::Letting { attempt: 1 };
                ask(LetGo { order: order_id, attempt: 1 })
            }
            Drawer::Letting { .. } if mistake == Mistake::LetsGoTwice => ask(LetGo { order: order_id, attempt: 1 }),
            Drawer::Letting { .. } => confirms_later(),
            Drawer::Buried if mistake == Mistake::TellsOnce => confirmed(),
            Drawer::Buried => voided(),
        }
    }

    pub(super) fn let_go(till: &mut Till, a: &Answered<LetGo>, _: &Context) -> Outcome<step::GiveBack> {
        let order = a.call.order;
        let drawer = till.drawers.of(&order);
        match *drawer {
            Drawer::Letting { attempt } if attempt == a.call.attempt => match a.answer {
                true => {
                    *drawer = Drawer::Buried;
                    say(PaymentVoided { order_id: order, because: BECAUSE })
                }
                false => {
                    *drawer = Drawer::Letting { attempt: attempt + 1 };
                    ask(LetGo { order, attempt: attempt + 1 }).and_alarm("the gateway will not let go")
                }
            },
            Drawer::Letting { .. } => confirms_later(),
            Drawer::Buried => confirmed(),
            Drawer::Absent | Drawer::Holding | Drawer::Doomed | Drawer::Held => contradiction(),
        }
    }
}

/// The order of every example.
pub const ORDER: OrderId = OrderId(uuid::uuid!("01935d3e-8000-7000-8000-000000000001"));

/// As it is stored with that drawer, and that mistake.
pub fn kept(drawer: Drawer, mistake: Mistake) -> Till {
    let mut till = Till::default();
    till.drawers.put(ORDER, drawer);
    till.mistake.put((), mistake);
    till
}

/// The examples, with that mistake.
pub fn examples(mistake: Mistake) -> Examples<Payment> {
    let states = [Drawer::Absent, Drawer::Holding, Drawer::Doomed, Drawer::Held, Drawer::Letting { attempt: 1 }, Drawer::Buried];
    Examples {
        states: states.map(|drawer| kept(drawer, mistake)).to_vec(),
        names: names_of::<Drawer>(),
        label: |till| match till.drawers.read(&ORDER) {
            drawer @ Drawer::Letting { attempt } if *attempt > 1 => format!("{}, attempt {attempt}", name_of(drawer)),
            drawer => name_of(drawer),
        },
        inputs: inputs(),
        answers,
        clean: |till| matches!(till.drawers.read(&ORDER), Drawer::Absent | Drawer::Buried),
        answered_again: &["shipment.cancelled"],
        closing: &[],
    }
}

fn answers(call: &Call) -> Vec<Input> {
    match call {
        Call::HoldMoney(call) => vec![Input::HoldMoney(Answered { call: call.clone(), answer: () })],
        Call::LetGo(call) => [true, false].map(|answer| Input::LetGo(Answered { call: call.clone(), answer })).to_vec(),
    }
}

fn inputs() -> Vec<(&'static str, Input)> {
    let ship_to = Address {
        name: "Ada".into(),
        street: "1 Main St".into(),
        city: "Berlin".into(),
        postal_code: "10115".into(),
        country: "DE".into(),
    };
    let reserved =
        StockReserved { order_id: ORDER, total: Money::new(1250, Currency::EUR), payment_method: "pm_card_visa".into(), ship_to };
    let let_go = |answer| Input::LetGo(Answered { call: LetGo { order: ORDER, attempt: 1 }, answer });
    vec![
        ("", Input::StockReserved(reserved)),
        ("ok", Input::HoldMoney(Answered { call: HoldMoney { order: ORDER }, answer: () })),
        ("", Input::Overdue(Overdue { order: ORDER })),
        ("", Input::Close(Close { order: ORDER })),
        ("", Input::ShipmentRefused(ShipmentRefused { order_id: ORDER, code: "no".into() })),
        ("", Input::ShipmentCancelled(ShipmentCancelled { order_id: ORDER, because: Reason::CustomerRequest })),
        ("ok", let_go(true)),
        ("no", let_go(false)),
    ]
}

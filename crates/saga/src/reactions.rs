//! `reactions!`: the one table of a service. Everything it makes could have been written by hand; it exists so that a
//! row cannot be forgotten in one of four listings, and a declaration cannot lie.

/// Declares what a service does, and when. See `crates/payment/src/reactions.rs` for one that is whole.
///
/// ```text
/// "payment": Payment keeps Holds;
/// /// One sentence.
/// step Authorize: undone by GiveBack {
///     command  Command                => verb;       // fn(&mut Records, &Command, &Context) -> Reply<step::Authorize>
///     on       SomeEvent, AnotherEvent => verb;      // fn(&mut Records, &SomeEvent, &Context) -> Outcome<step::Authorize>
///     answer   SomeCall               => verb;       // fn(&mut Records, &Answered<SomeCall>, &Context) -> Outcome<…>
///     deadline SomeDeadline           => verb;       // fn(&mut Records, &SomeDeadline, &Context) -> Outcome<…>
///     says     SomeEvent;                            // in an `undo`: `confirms`
///     asks     SomeCall;
/// }
/// ```
/// A step is `undone by X`, `pivot`, `pivot undone by X`, `retriable`, `retriable undone by X` or `alone`; an `undo`
/// confirms. The doors come in that order. It needs a function `touches(&Input, &mut Records)` in scope.
#[macro_export]
macro_rules! reactions {
    ( $service:literal : $participant:ident keeps $records:ty ;
      $( $(#[doc = $doc:literal])* $what:ident $step:ident $(: $($kind:ident)+)? {
         $( command $cmd:ident => $on_cmd:expr; )*
         $( on $($event:ident),+ => $on_event:expr; )*
         $( answer $call:ident => $on_answer:expr; )*
         $( deadline $due:ident => $on_due:expr; )*
         $( says $($says:ident),+; )?
         $( confirms $($confirms:ident),+; )?
         $( asks $($asks:ident),+; )?
      } )+
    ) => {
        #[doc = concat!("The ", $service, " service, as a participant.")]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $participant {}

        /// The steps, as types: what an outcome belongs to.
        pub mod step { $( $(#[doc = $doc])* #[derive(Debug)] pub enum $step {} )+ }

        /// The words on the left of the rows, each looked up once: a typo gives one message, not one for each use.
        mod heard { $(
            $( pub(super) type $cmd = super::$cmd; )*
            $( $( pub(super) type $event = super::$event; )+ )*
            $( pub(super) type $call = super::$call; )*
            $( pub(super) type $due = super::$due; )*
        )+ }

        /// Everything that can happen to the service: a variant for each input of each row.
        #[allow(missing_docs, reason = "the variants are the table's own words")]
        #[derive(Clone, PartialEq, Eq, Hash, Debug)]
        pub enum Input { $(
            $( $cmd(heard::$cmd), )*
            $( $( $event(heard::$event), )+ )*
            $( $call($crate::Answered<heard::$call>), )*
            $( $due(heard::$due), )*
        )+ }

        /// Every call that the service can ask of a partner.
        #[allow(missing_docs, reason = "the variants are the table's own words")]
        #[derive(Clone, PartialEq, Eq, Hash, Debug, $crate::again::serde::Serialize, $crate::again::serde::Deserialize)]
        #[serde(crate = "saga::again::serde")]
        pub enum Call { $( $( $call(heard::$call), )* )+ }

        impl $crate::Participant for $participant {
            const DECLARATION: $crate::Declaration = $crate::Declaration {
                service: $service,
                steps: &[ $( $crate::StepDecl {
                    name: stringify!($step),
                    kind: $crate::kind!(@kind $what $($($kind)+)?),
                    undone_by: $crate::kind!(@undone_by $($($kind)+)?),
                    says: &[ $( $( <$says as $crate::again::EventData>::INFO, )+ )? $( $( <$confirms as $crate::again::EventData>::INFO, )+ )? ],
                    asks: &[ $( $( stringify!($asks), )+ )? ],
                    does: concat!($($doc),*).trim_ascii(),
                }, )+ ],
                rows: &[ $(
                    $( $crate::Row { door: $crate::Door::Command, input: stringify!($cmd), verb: stringify!($on_cmd), step: stringify!($step) }, )*
                    $( $( $crate::Row { door: $crate::Door::Event, input: <heard::$event as $crate::again::EventData>::INFO.ty, verb: stringify!($on_event), step: stringify!($step) }, )+ )*
                    $( $crate::Row { door: $crate::Door::Answer, input: stringify!($call), verb: stringify!($on_answer), step: stringify!($step) }, )*
                    $( $crate::Row { door: $crate::Door::Deadline, input: stringify!($due), verb: stringify!($on_due), step: stringify!($step) }, )*
                )+ ],
            };
            type Input = Input;
            type Call = Call;
            type Records = $records;

            fn touches(input: &Input, records: &mut $records) {
                touches(input, records)
            }

            fn react(records: &mut $records, input: &Input, ctx: &$crate::Context) -> $crate::Decision<Self> {
                match input { $(
                    $( Input::$cmd(input) => {
                        let verb: fn(&mut $records, &heard::$cmd, &$crate::Context) -> $crate::Reply<step::$step> = $on_cmd;
                        $crate::reply(input, verb(records, input, ctx))
                    } )*
                    $( $( Input::$event(input) => {
                        let verb: fn(&mut $records, &heard::$event, &$crate::Context) -> $crate::Outcome<step::$step> = $on_event;
                        verb(records, input, ctx).decision()
                    } )+ )*
                    $( Input::$call(input) => {
                        let verb: fn(&mut $records, &$crate::Answered<heard::$call>, &$crate::Context) -> $crate::Outcome<step::$step> = $on_answer;
                        verb(records, input, ctx).decision()
                    } )*
                    $( Input::$due(input) => {
                        let verb: fn(&mut $records, &heard::$due, &$crate::Context) -> $crate::Outcome<step::$step> = $on_due;
                        verb(records, input, ctx).decision()
                    } )*
                )+ }
            }
        }

        const _: () = $crate::sound(&<$participant as $crate::Participant>::DECLARATION);

        impl $crate::Inputs for Input {
            fn row(&self) -> &'static $crate::Row {
                match self { $(
                    $( Self::$cmd(_) => &const { $crate::Row { door: $crate::Door::Command, input: stringify!($cmd), verb: stringify!($on_cmd), step: stringify!($step) } }, )*
                    $( $( Self::$event(_) => &const { $crate::Row { door: $crate::Door::Event, input: <heard::$event as $crate::again::EventData>::INFO.ty, verb: stringify!($on_event), step: stringify!($step) } }, )+ )*
                    $( Self::$call(_) => &const { $crate::Row { door: $crate::Door::Answer, input: stringify!($call), verb: stringify!($on_answer), step: stringify!($step) } }, )*
                    $( Self::$due(_) => &const { $crate::Row { door: $crate::Door::Deadline, input: stringify!($due), verb: stringify!($on_due), step: stringify!($step) } }, )*
                )+ }
            }

            #[allow(clippy::wildcard_enum_match_arm, unreachable_patterns, reason = "an event that no row names is not heard")]
            fn hear(event: $crate::again::Event) -> Option<Self> {
                match event {
                    $( $( $( $crate::again::Event::$event(event) => Some(Self::$event(event)), )+ )* )+
                    _ => None,
                }
            }

            fn due(name: &str, saga: $crate::again::OrderId) -> Option<Self> {
                let _ = saga;
                match name {
                    $( $( stringify!($due) => Some(Self::$due(<heard::$due>::from(saga))), )* )+
                    _ => None,
                }
            }

            fn saga(&self) -> Option<$crate::again::OrderId> {
                match self { $(
                    $( Self::$cmd(command) => $crate::Command::order(command), )*
                    $( $( Self::$event(event) => $crate::again::EventData::saga(event), )+ )*
                    $( Self::$call(answered) => Some($crate::Request::order(&answered.call)), )*
                    $( Self::$due(due) => Some($crate::again::OfOrder::order(due)), )*
                )+ }
            }
        }

        impl $crate::Calls for Call {
            fn name(&self) -> &'static str {
                match *self { $( $( Self::$call(_) => stringify!($call), )* )+ }
            }
            fn saga(&self) -> $crate::again::OrderId {
                match *self { $( $( Self::$call(ref call) => $crate::Request::order(call), )* )+ }
            }
            fn attempt(&self) -> u32 {
                match *self { $( $( Self::$call(ref call) => $crate::Request::attempt(call), )* )+ }
            }
        }

        $( $( impl $crate::Deadline<$participant> for heard::$due { const NAME: &'static str = stringify!($due); } )* )+

        $(
            const _: () = assert!(
                !concat!($($doc),*).trim_ascii().is_empty(),
                concat!("`", stringify!($what), " ", stringify!($step), "` has no sentence: write `/// …` above it, for pictures and explanations")
            );
            impl $crate::Step for step::$step { type Of = $participant; const NAME: &'static str = stringify!($step); }
            $crate::kind!(@impl $what $step [$($($kind)+)?] [$($($confirms)+)?]);
            $( $( #[diagnostic::do_not_recommend] impl $crate::Says<$says> for step::$step {} )+ )?
            $( $( #[diagnostic::do_not_recommend] impl $crate::Says<$confirms> for step::$step {} )+ )?
            $( $( #[diagnostic::do_not_recommend] impl $crate::Asks<$asks> for step::$step { fn call(call: $asks) -> Call { Call::$asks(call) } } )+ )?
        )+
    };
}

/// What follows from a step's kind. When something is missing the rest is implemented all the same, or one mistake would give
/// ten messages.
#[doc(hidden)]
#[macro_export]
macro_rules! kind {
    (@kind undo) => {
        $crate::Kind::Undo
    };
    (@kind step pivot $($rest:ident)*) => {
        $crate::Kind::Pivot
    };
    (@kind step retriable $($rest:ident)*) => {
        $crate::Kind::Retriable
    };
    (@kind step alone) => {
        $crate::Kind::Alone
    };
    (@kind $($other:ident)*) => {
        $crate::Kind::Compensatable
    };

    (@undone_by undone by $undo:ident) => {
        Some(stringify!($undo))
    };
    (@undone_by pivot undone by $undo:ident) => {
        Some(stringify!($undo))
    };
    (@undone_by retriable undone by $undo:ident) => {
        Some(stringify!($undo))
    };
    (@undone_by $($other:ident)*) => {
        None
    };

    (@impl undo $step:ident [] []) => {
        impl $crate::Undo for step::$step {}
        impl<E: $crate::again::EventData> $crate::Says<E> for step::$step {}
        compile_error!(concat!(
            "`undo ",
            stringify!($step),
            "` confirms nothing: add `confirms SomeEvent;`, or the order that waits for it never closes"
        ));
    };
    (@impl undo $step:ident [] [$($confirms:ident)+]) => {
        #[diagnostic::do_not_recommend]
        impl $crate::Undo for step::$step {}
    };
    (@impl step $step:ident [pivot undone by $undo:ident] []) => {
        $crate::kind!(@impl step $step [undone by $undo] []);
    };
    (@impl step $step:ident [retriable undone by $undo:ident] []) => {
        $crate::kind!(@impl step $step [undone by $undo] []);
    };
    (@impl step $step:ident [undone by $undo:ident] []) => {
        #[diagnostic::do_not_recommend]
        impl $crate::Forward for step::$step {}
        const _: () = {
            use step::*;
            impl $crate::Undoable for $step {
                type By = $undo;
            }
        };
    };
    (@impl step $step:ident [pivot] []) => {
        #[diagnostic::do_not_recommend]
        impl $crate::Forward for step::$step {}
    };
    (@impl step $step:ident [retriable] []) => {
        #[diagnostic::do_not_recommend]
        impl $crate::Forward for step::$step {}
    };
    (@impl step $step:ident [alone] []) => {
        #[diagnostic::do_not_recommend]
        impl $crate::Forward for step::$step {}
    };
    (@impl step $step:ident [$($kind:ident)*] [$($confirms:ident)+]) => {
        #[diagnostic::do_not_recommend]
        impl $crate::Forward for step::$step {}
        compile_error!(concat!("`step ", stringify!($step), "` is no undo: what it says goes on a `says` line"));
    };
    (@impl step $step:ident [$($kind:ident)*] []) => {
        #[diagnostic::do_not_recommend]
        impl $crate::Forward for step::$step {}
        compile_error!(concat!(
            "step `",
            stringify!($step),
            "` does not say how it is undone: write `step ",
            stringify!($step),
            ": undone by X`, `: pivot`, `: pivot undone by X`, `: retriable`, `: retriable undone by X` or `: alone`"
        ));
    };
    (@impl $what:ident $step:ident [$($kind:ident)*] [$($confirms:ident)*]) => {
        #[diagnostic::do_not_recommend]
        impl $crate::Forward for step::$step {}
        compile_error!(concat!("`", stringify!($what), " ", stringify!($step), "`: write `step` or `undo`"));
    };
}

/// Declares a deadline of a saga: a type with the order that it is about.
#[macro_export]
macro_rules! deadline {
    ( $(#[$doc:meta])* $name:ident ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub struct $name {
            /// Whose it is.
            pub order: $crate::again::OrderId,
        }
        impl From<$crate::again::OrderId> for $name {
            fn from(order: $crate::again::OrderId) -> Self {
                Self { order }
            }
        }
        impl $crate::again::OfOrder for $name {
            fn order(&self) -> $crate::again::OrderId {
                self.order
            }
        }
    };
}

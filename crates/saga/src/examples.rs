//! What table, trials and explorer need of a participant beside its reactions: every state once, every input once, and
//! what a partner can answer. Each service has them in `examples.rs`, outside its tests, for the checker uses them too.

use std::{collections::HashSet, fmt, time::Duration};

use events::{Event, EventId, Timestamp};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Visitor, value::MapDeserializer},
    forward_to_deserialize_any,
};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Calls, Context, Inputs, Participant, Records,
    batch::{Arrived, Taken, Verdict, decide, wanted},
};

/// Examples of one participant, all about one and the same order.
#[derive(Clone, Debug)]
pub struct Examples<P: Participant> {
    /// The rows in every state, one example at least for each of [`names`](Self::names).
    pub states: Vec<P::Records>,
    /// The names of all states, as [`names_of`] finds them: a state without an example fails the table. Orders begin in the first.
    pub names: Vec<&'static str>,
    /// A state in words: its name, as [`name_of`] gives it, then, behind a comma or a colon, what else is worth reading in the table.
    pub label: fn(&P::Records) -> String,
    /// An input at least for each row of the declaration. The words tell inputs of one row apart (`granted`, `declined`); else none.
    pub inputs: Vec<(&'static str, P::Input)>,
    /// Every answer that a partner can give to this call; the one that was hoped for first.
    pub answers: fn(&P::Call) -> Vec<P::Input>,
    /// Nothing of the order is held, reserved, booked or under way any more.
    pub clean: fn(&P::Records) -> bool,
    /// The events (by name) that are answered again whenever they come again: R2 and R3 of the protocol.
    pub answered_again: &'static [&'static str],
    /// The failure words (by name) that close this participant for the order, so that an undo that waits need not confirm.
    pub closing: &'static [&'static str],
}

/// The context of every example: a time that is written down, and a minute of patience.
pub const CONTEXT: Context = Context { now: Timestamp::from_micros(1_795_543_200_000_000), patience: Duration::from_secs(60) };

impl<P: Participant> Examples<P> {
    /// The states of that name. `authorizing doomed` is no example of `authorizing`.
    pub(crate) fn named(&self, name: &str) -> impl Iterator<Item = &P::Records> {
        let name = name.replace('_', " ");
        let is =
            move |label: String| label.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with([',', ':']));
        self.states.iter().filter(move |state| is((self.label)(state)))
    }

    /// Where an order begins.
    pub(crate) fn starts(&self) -> impl Iterator<Item = &P::Records> {
        self.named(self.names.first().unwrap_or(&""))
    }

    /// Every answer that is worth trying: a second key is answered as hoped, or there would be no end.
    pub(crate) fn possible(&self, call: &P::Call) -> Vec<P::Input> {
        let mut answers = (self.answers)(call);
        if call.attempt() > 1 {
            answers.truncate(1);
        }
        answers
    }
}

/// What an input did to the rows, and what came out.
#[derive(Clone, Debug)]
pub struct Tried<P: Participant> {
    /// The rows afterwards.
    pub after: P::Records,
    /// What became of the input.
    pub verdict: Verdict<P>,
}

/// Takes one input, never claimed before, by the very way that production takes it: want, load, decide, write.
pub fn attempt<P: Participant>(before: &P::Records, input: &P::Input) -> Tried<P> {
    let arrived = [Arrived { claim: crate::Claim::Event(EventId(Uuid::from_u128(1))), input: input.clone() }];
    let (after, mut verdicts) = batch(before, &arrived, &HashSet::new());
    Tried { after, verdict: verdicts.pop().expect("one input has one verdict") }
}

/// Takes a whole batch so: the rows afterwards, and a verdict for each input.
pub fn batch<P: Participant>(
    before: &P::Records,
    arrived: &[Arrived<P>],
    claimed: &HashSet<Uuid>,
) -> (P::Records, Vec<Verdict<P>>) {
    let mut rows = wanted::<P>(arrived);
    rows.load(before);
    let verdicts = decide(&mut rows, arrived, claimed, &CONTEXT);
    let mut after = before.clone();
    rows.write(&mut after);
    (after, verdicts)
}

impl<P: Participant> Tried<P> {
    /// Its effects, if it took effect.
    pub fn taken(&self) -> Option<&Taken<P>> {
        match &self.verdict {
            Verdict::Taken(taken) => Some(taken),
            Verdict::Repeated | Verdict::NotYet(_) | Verdict::Contradiction(_) | Verdict::Refused(_) => None,
        }
    }

    /// What was said.
    pub fn said(&self) -> impl Iterator<Item = &Event> {
        self.taken().into_iter().flat_map(|taken| taken.outbox.iter().map(|out| &out.event))
    }

    /// What was asked of a partner.
    pub fn asked(&self) -> impl Iterator<Item = &P::Call> {
        self.taken().into_iter().flat_map(|taken| taken.intents.iter().map(|intent| &intent.call))
    }
}

/// The input in the words of the table: the event's name, else the type's.
pub(crate) fn word<P: Participant>(input: &P::Input) -> &'static str {
    let word = input.row().input;
    Event::ALL.iter().find(|info| info.ty == word).map_or(word, |info| info.name)
}

/// The names of an enum's variants, as its `Deserialize` knows them, so that no list of them can be forgotten.
pub fn names_of<'de, T: Deserialize<'de>>() -> Vec<&'static str> {
    match T::deserialize(Probe { tag: tag_of::<T>().unwrap_or_default() }) {
        Err(Found::Variants(names)) => names.to_vec(),
        Err(Found::Tag(_) | Found::Nothing) | Ok(_) => Vec::new(),
    }
}

/// The name of this variant, with spaces for underscores: how a label begins.
pub fn name_of<'de, T: Serialize + Deserialize<'de>>(state: &T) -> String {
    let name = match serde_json::to_value(state) {
        Ok(Value::String(name)) => Some(name),
        Ok(Value::Object(fields)) => match tag_of::<T>() {
            Some(tag) => fields.get(tag).and_then(Value::as_str).map(str::to_owned),
            None => fields.keys().next().cloned(),
        },
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) | Err(_) => None,
    };
    name.unwrap_or_default().replace('_', " ")
}

/// The field that holds the name, when the enum is written with one.
fn tag_of<'de, T: Deserialize<'de>>() -> Option<&'static str> {
    match T::deserialize(Probe { tag: "" }) {
        Err(Found::Tag(tag)) => Some(tag),
        Err(Found::Variants(_) | Found::Nothing) | Ok(_) => None,
    }
}

/// Offers a variant that does not exist under a tag; the error that comes back names those that do.
struct Probe {
    tag: &'static str,
}

#[derive(Debug)]
enum Found {
    Variants(&'static [&'static str]),
    Tag(&'static str),
    Nothing,
}

impl<'de> Deserializer<'de> for Probe {
    type Error = Found;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Found> {
        visitor.visit_map(MapDeserializer::new([(self.tag, "")].into_iter()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Found> {
        Err(Found::Variants(variants))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Found {}

impl de::Error for Found {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Nothing
    }
    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::Variants(expected)
    }
    fn missing_field(field: &'static str) -> Self {
        Self::Tag(field)
    }
}

#[cfg(test)]
mod tests {
    #![allow(dead_code, reason = "only their names are asked for")]
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(tag = "state", rename_all = "snake_case")]
    enum Tagged {
        Absent,
        NotYetThere { since: u32 },
    }

    #[derive(Serialize, Deserialize)]
    enum Plain {
        One,
        Two(u8),
    }

    #[test]
    fn names_come_from_the_type_itself() {
        assert_eq!(names_of::<Tagged>(), ["absent", "not_yet_there"]);
        assert_eq!(names_of::<Plain>(), ["One", "Two"]);
        assert_eq!(name_of(&Tagged::NotYetThere { since: 1 }), "not yet there");
        assert_eq!(name_of(&Plain::One), "One");
        assert_eq!(name_of(&Plain::Two(2)), "Two");
    }
}

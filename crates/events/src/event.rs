//! What an event is, and `events!`, the list form in which all of them are declared once.

/// What is known of an event type before any event of it exists.
#[derive(Debug)]
pub struct EventInfo {
    /// `payment.authorized.v1`: the CloudEvents type.
    pub ty: &'static str,
    /// `payment.authorized`: behind `ensemble.` it is the subject.
    pub name: &'static str,
    /// The one service that says it.
    pub owner: &'static str,
    /// Nobody needs to hear it.
    pub terminal: bool,
    /// About an order: it belongs to a saga.
    pub of_order: bool,
    /// Its sentence.
    pub means: &'static str,
    /// `PaymentAuthorized`: its type in code, for messages of the build.
    pub type_name: &'static str,
}

impl EventInfo {
    /// `payment_authorized`: its name where a dot would mean something else.
    pub fn word(&self) -> String {
        self.name.replace('.', "_")
    }
}

/// How an event looks on the wire.
#[cfg(feature = "schema")]
#[derive(Debug)]
pub struct Described {
    /// What is known of the type.
    pub info: &'static EventInfo,
    /// Its data.
    pub schema: schemars::Schema,
    /// Data of this type as it was once written: its golden file.
    pub example: &'static str,
}

/// The data of one event type.
pub trait EventData: serde::Serialize + serde::de::DeserializeOwned + Into<crate::Event> + Clone {
    /// What is known of the type.
    const INFO: &'static EventInfo;
    /// The order that it is about.
    fn saga(&self) -> Option<crate::OrderId>;
    /// What identifies it, when that is its content and not the cause in a saga.
    fn named(&self) -> Option<String>;
}

/// Why bytes are not an event.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A type, or a version of one, that this build does not know: a newer service is speaking. *Not yet.*
    #[error("unknown event type `{0}`")]
    UnknownType(String),
    /// The data is not what the type promises. *Poison.*
    #[error("the data of `{ty}` does not fit its type: {source}")]
    Data {
        /// Of the event.
        ty: &'static str,
        /// What serde found.
        source: serde_json::Error,
    },
}

/// Declares every event: owner, then name, version, marks and fields. An event has `order_id` unless it is `alone`;
/// `alone by (…)` names the fields that identify it instead. `terminal`: nobody needs to hear it.
macro_rules! events {
    ( $( $owner:ident { $( $(#[doc = $doc:literal])+ $name:ident $text:literal $version:literal $($mark:ident)? $(by $($by:ident)+)? {
            $( $(#[$fdoc:meta])* $field:ident : $type:ty ),* $(,)? } )+ } )+ ) => {
        $($( events!(@data [$($mark)?] [$($doc)+] $owner $name $text $version [$($($by)+)?] { $( $(#[$fdoc])* $field: $type ),* }); )+)+

        /// Any event. Closed: whoever needs words for all of them does not compile without.
        #[derive(Clone, PartialEq, Eq, Hash, Debug)]
        pub enum Event { $($(
            #[doc = concat!("`", $text, "`")]
            $name($name),
        )+)+ }

        $($( impl From<$name> for Event { fn from(data: $name) -> Self { Self::$name(data) } } )+)+

        impl Event {
            /// Every type there is, in the order in which they are declared.
            pub const ALL: &'static [&'static EventInfo] = &[ $($( <$name as EventData>::INFO, )+)+ ];

            /// The schema of every type there is, in the same order, as a reference into what the generator defines.
            #[cfg(feature = "schema")]
            pub fn described(generator: &mut schemars::SchemaGenerator) -> Vec<Described> {
                vec![ $($( Described {
                    info: <$name as EventData>::INFO,
                    schema: generator.subschema_for::<$name>(),
                    example: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/golden/", $text, ".v", $version, ".json")),
                }, )+)+ ]
            }

            /// What is known of its type.
            pub fn info(&self) -> &'static EventInfo {
                match self { $($( Self::$name(_) => <$name as EventData>::INFO, )+)+ }
            }

            /// The order that it is about.
            pub fn order(&self) -> Option<OrderId> {
                match self { $($( Self::$name(data) => data.saga(), )+)+ }
            }

            /// What identifies it, when that is its content and not the cause in a saga.
            pub fn identity(&self) -> Option<String> {
                match self { $($( Self::$name(data) => data.named(), )+)+ }
            }

            /// Its data as JSON.
            pub fn encode(&self) -> Vec<u8> {
                let written = match self { $($( Self::$name(data) => serde_json::to_vec(data), )+)+ };
                written.expect("events are plain structs with text keys, which always serialize")
            }

            /// The event of that type in these bytes.
            ///
            /// # Errors
            /// When the type is not known here (*not yet*), or the bytes do not fit it (*poison*).
            pub fn decode(ty: &str, bytes: &[u8]) -> Result<Self, DecodeError> {
                match ty {
                    $($( concat!($text, ".v", $version) => serde_json::from_slice::<$name>(bytes).map(Self::$name)
                        .map_err(|source| DecodeError::Data { ty: <$name as EventData>::INFO.ty, source }), )+)+
                    _ => Err(DecodeError::UnknownType(ty.to_owned())),
                }
            }
        }
    };
    (@data [alone] [$($doc:literal)+] $owner:ident $name:ident $text:literal $version:literal [$($by:ident)+] { $( $(#[$fdoc:meta])* $field:ident : $type:ty ),* }) => {
        $(#[doc = $doc])+
        #[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub struct $name { $( $(#[$fdoc])* pub $field: $type, )* }
        events!(@info $name [$($doc)+] $owner $text $version false false {
            fn saga(&self) -> Option<OrderId> { None }
            fn named(&self) -> Option<String> { Some([$( self.$by.to_string() ),+].join("/")) }
        });
    };
    (@data [$($mark:ident)?] [$($doc:literal)+] $owner:ident $name:ident $text:literal $version:literal [] { $( $(#[$fdoc:meta])* $field:ident : $type:ty ),* }) => {
        $(#[doc = $doc])+
        #[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub struct $name {
            /// The order that it is about.
            pub order_id: OrderId,
            $( $(#[$fdoc])* pub $field: $type, )*
        }
        impl OfOrder for $name { fn order(&self) -> OrderId { self.order_id } }
        events!(@info $name [$($doc)+] $owner $text $version (events!(@terminal $($mark)?)) true {
            fn saga(&self) -> Option<OrderId> { Some(self.order_id) }
            fn named(&self) -> Option<String> { None }
        });
    };
    (@terminal terminal) => { true };
    (@terminal) => { false };
    (@info $name:ident [$($doc:literal)+] $owner:ident $text:literal $version:literal $terminal:tt $of_order:literal { $($method:item)+ }) => {
        impl EventData for $name {
            $($method)+
            const INFO: &'static EventInfo = &EventInfo {
                ty: concat!($text, ".v", $version),
                name: $text,
                owner: stringify!($owner),
                terminal: $terminal,
                of_order: $of_order,
                means: concat!($($doc),+).trim_ascii(),
                type_name: stringify!($name),
            };
        }
    };
}
pub(crate) use events;

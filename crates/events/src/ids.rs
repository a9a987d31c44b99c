//! Ids. A saga is born with its order; every other id about it is *derived*, never drawn, so that doing a thing
//! again gives the same id and whoever reads it drops the repeat.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::Timestamp;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    };
}

id! {
    /// An order, and the saga that carries it out. UUIDv7: its first 48 bits are the saga's birth in milliseconds.
    OrderId
}
id! {
    /// An event. UUIDv8, derived: see [`derived`].
    EventId
}
id! {
    /// A call to a partner. UUIDv8, derived: see [`derived`].
    CallId
}

/// A saga is named after its order.
pub type SagaId = OrderId;

impl OrderId {
    /// When the saga was born, in milliseconds since 1970: what ids about it begin with.
    pub fn birth_ms(self) -> u64 {
        (self.0.as_u128() >> 80) as u64
    }

    /// When the saga was born, to the millisecond.
    pub fn born(self) -> Timestamp {
        // 48 bits of milliseconds are 58 bits of microseconds.
        Timestamp::from_micros(self.birth_ms() as i64 * 1_000)
    }
}

/// The id of the `ordinal`-th thing of type `what` that `cause` brought about: 48 bits of birth, then SHA-256 of the
/// rest, in the layout of a UUIDv8 ([RFC 9562 §5.8](https://www.rfc-editor.org/rfc/rfc9562#section-5.8)).
///
/// Ids sort, and partition, by the saga's birth; the same cause always gives the same ids.
pub fn derived(birth_ms: u64, cause: Uuid, what: &str, ordinal: u32) -> Uuid {
    let hash =
        Sha256::new().chain_update(cause.as_bytes()).chain_update(what.as_bytes()).chain_update(ordinal.to_be_bytes()).finalize();
    from_hash(birth_ms, &hash)
}

/// The id of something that is named by its content instead of a cause and a saga: `product.changed` of one version.
/// It has no birth, so it sorts before everything that has.
pub fn named(what: &str, identity: &str) -> Uuid {
    let hash = Sha256::new().chain_update(what.as_bytes()).chain_update([0]).chain_update(identity.as_bytes()).finalize();
    from_hash(0, &hash)
}

fn from_hash(birth_ms: u64, hash: &[u8]) -> Uuid {
    let mut bytes = [0_u8; 16];
    bytes[..6].copy_from_slice(&birth_ms.to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&hash[..10]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_are_written_down() {
        // Computed once with another tool; part of the contract: another hash would make every repeat look new.
        let id = derived(0x0190_0000_0001, Uuid::from_u128(7), "payment.authorized.v1", 0);
        assert_eq!(id.to_string(), "01900000-0001-866b-9041-1ba9fb38d83e");
        assert_eq!(id.get_version_num(), 8);
    }

    #[test]
    fn cause_type_and_ordinal_all_count() {
        let base = derived(1, Uuid::from_u128(7), "a", 0);
        assert_ne!(base, derived(1, Uuid::from_u128(8), "a", 0));
        assert_ne!(base, derived(1, Uuid::from_u128(7), "b", 0));
        assert_ne!(base, derived(1, Uuid::from_u128(7), "a", 1));
    }

    #[test]
    fn birth_is_read_back() {
        assert_eq!(OrderId(derived(0x0190_1234_5678, Uuid::nil(), "x", 0)).birth_ms(), 0x0190_1234_5678);
    }
}

//! `Idempotency-Key` ([draft-ietf-httpapi-idempotency-key-header](https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/)):
//! what it may look like, what it is scoped to, and whether its first request is still in progress.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use axum::http::{HeaderMap, Method};
use sfv::{BareItem, Item, Parser};
use sha2::{Digest as _, Sha256};

use super::{
    Principal, Problem,
    problem::{KEY_MALFORMED, KEY_MISSING},
};

const HEADER: &str = "idempotency-key";
const LENGTH_MAX: usize = 255;

/// The key's text; none when the method does not need one and there is none.
pub(super) fn key_of(method: &Method, headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(HEADER).iter();
    match (values.next(), values.next()) {
        (None, _) if method == Method::PUT || method == Method::DELETE => Ok(None),
        (None, _) => Err(Problem::of(&KEY_MISSING)),
        (Some(value), None) => parse(value.as_bytes()).map(Some).ok_or_else(|| Problem::of(&KEY_MALFORMED)),
        (Some(_), Some(_)) => Err(Problem::of(&KEY_MALFORMED)),
    }
}

fn parse(value: &[u8]) -> Option<String> {
    let item = Parser::new(value).parse::<Item>().ok()?;
    let BareItem::String(key) = item.bare_item else { return None };
    let visible = key.as_str().bytes().all(|byte| byte.is_ascii_graphic());
    (visible && (1..=LENGTH_MAX).contains(&key.as_str().len())).then(|| key.as_str().to_owned())
}

/// Who sent what where under which key, as one number. Each part goes in behind its length, so that no two scopes
/// read the same.
pub(super) fn scope(principal: &Principal, method: &Method, path: &str, key: &str) -> [u8; 32] {
    [principal.name(), method.as_str(), path, key]
        .into_iter()
        .fold(Sha256::new(), |hash, part| hash.chain_update((part.len() as u64).to_be_bytes()).chain_update(part))
        .finalize()
        .into()
}

/// The keys whose first request this process has not answered yet. Only a courtesy: the claim in the database is what
/// keeps a repeat, here or at another replica, from taking effect.
#[derive(Clone, Debug, Default)]
pub(super) struct InProgress(Arc<Mutex<HashSet<[u8; 32]>>>);

impl InProgress {
    /// A turn that lasts until it is dropped; none when somebody has it.
    pub(super) fn enter(&self, key: [u8; 32]) -> Option<Turn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key).then(|| Turn { keys: self.clone(), key })
    }
}

/// The turn of a key's first request.
#[derive(Debug)]
pub(super) struct Turn {
    keys: InProgress,
    key: [u8; 32],
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.keys.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_structured_string_of_visible_characters() {
        let longest = format!("\"{}\"", "k".repeat(255));
        for (good, key) in [
            ("\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
            ("  \"k\"  ", "k"),
            (r#""a\"b""#, r#"a"b"#),
            (longest.as_str(), &longest[1..256]),
        ] {
            assert_eq!(parse(good.as_bytes()).as_deref(), Some(key), "{good}");
        }
        let too_long = format!("\"{}\"", "k".repeat(256));
        for bad in ["", "k", "\"\"", "\"a b\"", "\"a", "\"a\", \"b\"", "42", ":YQ==:", "\"\u{e9}\"", "\"a\u{0}\"", &too_long] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn the_scope_tells_apart_who_what_where_and_which() {
        let anonymous = Principal::anonymous();
        let base = scope(&anonymous, &Method::POST, "/v1/things", "k");
        assert_eq!(base, scope(&anonymous, &Method::POST, "/v1/things", "k"));
        assert_ne!(base, scope(&anonymous, &Method::PUT, "/v1/things", "k"));
        assert_ne!(base, scope(&anonymous, &Method::POST, "/v1/thingsk", ""));
        assert_ne!(base, scope(&anonymous, &Method::POST, "/v1/things", "K"));
    }

    #[test]
    fn a_key_has_one_turn_at_a_time() {
        let keys = InProgress::default();
        let turn = keys.enter([1; 32]);
        assert!(turn.is_some() && keys.enter([1; 32]).is_none() && keys.enter([2; 32]).is_some());
        drop(turn);
        assert!(keys.enter([1; 32]).is_some());
    }
}

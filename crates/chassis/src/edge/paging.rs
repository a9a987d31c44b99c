//! Pages of a list: an opaque cursor, and `Link: rel="next"` ([RFC 8288](https://www.rfc-editor.org/rfc/rfc8288)).

use axum::{
    Json,
    extract::{FromRequestParts, OriginalUri},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};

use super::{Problem, Query};

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 200;

/// Which page is asked for: `?cursor=&limit=`. `K` is the key that the list is sorted by.
#[derive(Clone, Debug)]
pub struct Page<K> {
    /// Behind that one; none: from the beginning.
    pub after: Option<K>,
    /// At most so many: 50 unless asked, never more than 200.
    pub limit: usize,
    path: String,
    others: Vec<(String, String)>,
}

#[derive(Serialize)]
struct List<T> {
    items: Vec<T>,
    /// The cursor of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl<K: Serialize> Page<K> {
    /// How many rows to load: one more than is shown tells whether there is a next page.
    pub fn to_load(&self) -> usize {
        self.limit + 1
    }

    /// The answer from [`Self::to_load`] rows. `key` is what they are sorted by.
    pub fn answer<T: Serialize>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> K) -> Response {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next = rows.last().filter(|_| more).and_then(|last| encode(&key(last)));
        let link = next.as_deref().and_then(|cursor| self.link(cursor));
        let mut response = Json(List { items: rows, next }).into_response();
        if let Some(link) = link {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }

    fn link(&self, cursor: &str) -> Option<HeaderValue> {
        let limit = self.limit.to_string();
        let own = [("cursor", cursor), ("limit", &limit)];
        let query: String = self.others.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(own).fold(
            String::new(),
            |query, (name, value)| {
                let join = if query.is_empty() { '?' } else { '&' };
                format!("{query}{join}{}={}", escaped(name), escaped(value))
            },
        );
        HeaderValue::from_str(&format!("<{}{query}>; rel=\"next\"", self.path)).ok()
    }
}

fn encode(key: &impl Serialize) -> Option<String> {
    serde_json::to_vec(key).ok().map(|key| BASE64_URL_SAFE_NO_PAD.encode(key))
}

fn decode<K: DeserializeOwned>(cursor: &str) -> Option<K> {
    BASE64_URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|key| serde_json::from_slice(&key).ok())
}

/// A query's name or value with everything but RFC 3986's unreserved characters escaped.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut to, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => to.push(char::from(byte)),
            _ => to.push_str(&format!("%{byte:02X}")),
        }
        to
    })
}

impl<S: Send + Sync, K: DeserializeOwned> FromRequestParts<S> for Page<K> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let refuse = |what: &str| Problem::of_status(StatusCode::BAD_REQUEST).saying(what);
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |uri| &uri.0);
        let path = uri.path().to_owned();
        let Query(mut others) = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await?;
        let mut take = |wanted: &str| {
            others.iter().position(|(name, _)| name == wanted).map(|at| others.remove(at).1).filter(|value| !value.is_empty())
        };
        let after = match take("cursor") {
            None => None,
            Some(cursor) => Some(decode(&cursor).ok_or_else(|| refuse("The cursor is none of ours: begin without one."))?),
        };
        let limit = match take("limit") {
            None => LIMIT_DEFAULT,
            Some(limit) => match limit.parse() {
                Ok(0) | Err(_) => return Err(refuse("The limit is a number from 1 to 200.")),
                Ok(limit) => LIMIT_MAX.min(limit),
            },
        };
        Ok(Self { after, limit, path, others })
    }
}

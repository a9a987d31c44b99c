//! Who needs a person, as a service tells its operators.

use serde::{Deserialize, Serialize};

use crate::part::Service;
use crate::stack::addresses::Addresses;
use crate::stack::wait;

/// What `GET /admin/attention` answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Attention {
    /// How many there are.
    pub count: usize,
    /// Those that have waited longest.
    pub first: Vec<Needing>,
}

/// An order that needs a person.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Needing {
    /// Which.
    pub saga: String,
    /// `dead_letter`, `after_pivot`, `tries`, `compensation_owed` or `slow`.
    pub why: String,
    /// What it waits for.
    pub what: String,
    /// The event's type, or the call's name.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub ty: Option<String>,
    /// Since when.
    pub since: String,
    /// How often it failed.
    pub tries: u32,
    /// Why it failed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
}

/// Of that service, if it answers.
pub(crate) async fn of(service: Service, addresses: &Addresses) -> Option<Attention> {
    let url = format!("{}/admin/attention", addresses.admin_url(service));
    let answer = wait::client().get(url).send().await.ok()?.error_for_status().ok()?;
    answer.json().await.ok()
}

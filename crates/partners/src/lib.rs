//! The outside world, to be run beside Ensemble: a **card gateway** and a **carrier**, one process,
//! two ports, one durable ledger. They promise what real partners promise (an `Idempotency-Key`
//! makes a repeated call harmless, what was answered is kept through `kill -9`), and misbehave
//! as real ones do, when told to. They know nothing of Ensemble.
//!
//! ```sh
//! partners --help                 # every setting and its default
//! curl localhost:8100/livez       # the gateway; the carrier is on 8101
//! ```
//!
//! # Card gateway: Stripe's PaymentIntents
//! Form-encoded requests, JSON answers, `Authorization: Bearer $GATEWAY_KEY` or Basic with the key as
//! user, field names and errors as in Stripe's API reference, so that a URL and a key point a client
//! at the real one. What this gateway does not have (automatic capture, unknown parameters) is a 400.
//!
//! | request | parameters | 200 |
//! |---|---|---|
//! | `POST /v1/payment_intents` | `amount`, `currency`, `payment_method`, `capture_method=manual`, `confirm=true`; optional `payment_method_types[]=card`, `metadata[order_id]` (and others), `description`, `expand[]=latest_charge` | intent, `requires_capture` |
//! | `POST /v1/payment_intents/{id}/capture` | `amount_to_capture`, `expand[]` | intent, `succeeded` |
//! | `POST /v1/payment_intents/{id}/cancel` | `cancellation_reason` | intent, `canceled` |
//! | `POST /v1/refunds` | `payment_intent`; optional `amount`, `reason`, `metadata[…]` | refund, `succeeded` |
//! | `GET /v1/payment_intents/{id}` | `expand[]` | intent; never lags |
//! | `GET /v1/payment_intents/search` | `query=metadata['order_id']:'…'` | `{"object":"search_result","data":[intent…],"has_more":false,…}`, newest first; may lag |
//! | `GET /v1/refunds` | `payment_intent` | `{"object":"list","data":[refund…],…}`, newest first |
//!
//! ```json
//! {"id":"pi_…","object":"payment_intent","status":"requires_capture","amount":1250,"amount_capturable":1250,
//!  "amount_received":0,"currency":"eur","metadata":{"order_id":"…"},"payment_method":"pm_card_visa",
//!  "latest_charge":"ch_…","last_payment_error":null,"created":1764000000,"canceled_at":null,"cancellation_reason":null,…}
//! {"id":"ch_…","object":"charge","payment_method_details":{"card":{"brand":"visa","capture_before":1764604800}},…}
//! {"id":"re_…","object":"refund","status":"succeeded","amount":1250,"currency":"eur","payment_intent":"pi_…","charge":"ch_…",…}
//! {"error":{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds","message":"…","payment_intent":{…}}}
//! ```
//! The second is `latest_charge` when it is expanded: `capture_before` (Unix seconds) is only there.
//!
//! | error | status, `type`, `code` | under the key |
//! |---|---|---|
//! | declined | 402 `card_error` `card_declined` with `decline_code`; or `expired_card`, `incorrect_cvc`, `processing_error` | stored |
//! | capture, cancel, refund in the wrong state | 400 `invalid_request_error` `payment_intent_unexpected_state`, with `payment_intent` | stored |
//! | refunded already; too much | 400 `charge_already_refunded`; `amount_too_large` | stored |
//! | validation; unknown payment method | 400 `parameter_missing`, `parameter_invalid_integer`, `parameter_unknown`, …; `resource_missing` | not stored |
//! | no such intent | 404 `resource_missing` | not stored |
//! | same key, other parameters | 400 `type` `idempotency_error` | the first answer stays |
//! | same key, first still running | 409 `idempotency_error` `idempotency_key_in_use` | |
//! | key wrong; too fast; broken | 401; 429 `rate_limit`; 500, 503 `api_error` | not stored, except the fault `stored_500` |
//!
//! A failed capture leaves the hold on the card: it must be cancelled. A capture after `capture_before`
//! finds the intent `canceled` (`cancellation_reason` `automatic`), which is `payment_intent_unexpected_state`;
//! the same error with `payment_intent.status` `canceled` answers a second cancel under a new key.
//!
//! Payment methods: `pm_card_visa`, `pm_card_visa_debit`, `pm_card_mastercard`, `pm_card_amex`, `pm_card_discover`,
//! `pm_card_diners`, `pm_card_jcb`, `pm_card_unionpay`. Declined: `pm_card_` or `pm_card_visa_` and one of `chargeDeclined`,
//! `chargeDeclinedInsufficientFunds`, `chargeDeclinedLostCard`, `chargeDeclinedStolenCard`, `chargeDeclinedExpiredCard`,
//! `chargeDeclinedIncorrectCvc`, `chargeDeclinedProcessingError`, `chargeDeclinedFraudulent`,
//! `chargeDeclinedVelocityLimitExceeded`. **Tag:** `__` and any text behind a payment method mean the same card,
//! and let a fault rule single out one order before its id is known: `pm_card_visa__t17`.
//!
//! # Carrier
//! JSON; `Authorization: Bearer $CARRIER_KEY`; errors are `{"code","message"}`.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/bookings` `{"reference","ship_to":{"name","street","city","postal_code","country"}}` | 201 `{"id":"bk_…","reference","tracking","pick_up","status":"booked"}`; 422 refused (stored); 400 `invalid_request` (not stored) |
//! | `POST /v1/bookings/{id}/cancel` | 200, `status` `cancelled`, also the second time; for an unknown id 200 `{"id","status":"unknown"}` |
//! | `GET /v1/bookings/{id}` | 200; 404 `not_found`; never lags |
//! | `GET /v1/bookings?reference=…` | 200 `{"data":[booking…]}`, newest first, without the refused; may lag |
//!
//! | destination | 422 `code` |
//! |---|---|
//! | `country` is `AQ`, `BV` or `HM` | `destination_not_served` |
//! | `postal_code` is `00000` | `address_unknown` |
//! | `street` begins with `PO Box` (any case) | `po_box_not_served` |
//!
//! Idempotency keys work as at the gateway: replays carry `Idempotent-Replayed: true`; 409 `idempotency_key_in_use`,
//! 400 `idempotency_error`. Also 401 `unauthorized`, 429 `rate_limit`, 500 `internal`, 503 `unavailable`. Two keys
//! make two bookings, even for one reference. `pick_up` is RFC 3339.
//!
//! # Ledger, on both ports, without a key
//! `GET /ledger?after=&limit=` (limit 1,000 by default, at most 10,000) → `{"items":[…],"next":"id or null"}`, in the order
//! of creation; `next` is the `after` of the next page. `GET /ledger/{order_id}` → the same of one order.
//! - gateway item: `id`, `order_id`, `status` (`requires_payment_method`, `requires_capture`, `succeeded`, `canceled`), `amount`,
//!   `currency` (lower case), `amount_received`, `amount_refunded`, `payment_method`, `declined`, `capture_before`, `refunds[]`, …
//! - carrier item: `id`, `reference`, `status` (`booked`, `refused`, `cancelled`), `refused` (the code), `tracking`, `pick_up`, …
//! - both: `created`, `history[{at, operation, idempotency_key, outcome}]`: executed calls, without replays.
//!
//! # Faults, on both ports, without a key
//! `POST /faults` `{"scope":{…},"kind":…,"times":1,"rate":0.2}` → 201 the rule with its `id` and how often it has `struck`;
//! `GET /faults`; `DELETE /faults`, `DELETE /faults/{id}` → 204. A rule that makes no sense is a problem answer (RFC 9457).
//! Rules are forgotten when the process ends.
//! - `scope`, all optional, all must agree: `operation` (gateway: `authorize`, `capture`, `cancel`, `refund`, `get`, `search`,
//!   `list_refunds`; carrier: `book`, `cancel_booking`, `get`, `search`), `order_id`, `payment_method_tag` (gateway), `ship_to_name` (carrier).
//! - `times`: strikes at most, default no end. `rate`: the share of calls that is struck, default all.
//!
//! | `kind` | what happens |
//! |---|---|
//! | `{"latency":{"ms":29000}}` | executed that much later, even if the caller has hung up |
//! | `"error_5xx"`, `"unavailable"`, `"too_many_requests"` | 500, 503, 429 before anything was done; not stored |
//! | `"refuse"` | connection closed before anything was done |
//! | `"answer_lost"` | executed, committed, connection closed without an answer |
//! | `{"stored_500":{"executed":false}}` | a 500 is stored under the key and replayed; the call was executed, or not |
//! | `{"decline":{"code":"lost_card"}}` | declined: 402 at the gateway, 422 at the carrier |
//! | `"capture_fails"` | captures are declined, 402 `card_declined`; the hold stays |
//! | `{"authorization_lapses":{"ms":100}}` | an authorization ends that soon |
//! | `{"lookup_lags":{"ms":2000}}` | `search` does not see what is younger |
//! | `"key_forgotten"` | a repeated key is executed again |

pub mod config;

mod server;

mod desk;

mod card_gateway;

mod carrier;

mod faults;

mod ledger;

mod history;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, thread::JoinHandle};

use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use config::Config;
pub use ledger::LedgerError;

/// Why the partners could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory of the ledger cannot be made.
    #[error("cannot make DATA_DIR {path}")]
    DataDir {
        /// What `DATA_DIR` says.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The ledger cannot be opened: another process holds it, or it is none.
    #[error("cannot open {path}")]
    Ledger {
        /// The file.
        path: PathBuf,
        /// Why.
        source: LedgerError,
    },
    /// A port cannot be listened on.
    #[error("cannot listen on {setting} {addr}")]
    Listen {
        /// The variable that names the address.
        setting: &'static str,
        /// Its value.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A key that no HTTP header can carry.
    #[error("{setting} must be visible ASCII characters")]
    Key {
        /// The variable that holds the key.
        setting: &'static str,
    },
}

/// Both partners, running.
pub struct Partners {
    /// Where the card gateway listens.
    pub gateway: SocketAddr,
    /// Where the carrier listens.
    pub carrier: SocketAddr,
    stop: CancellationToken,
    servers: JoinSet<()>,
    calls: TaskTracker,
    writer: JoinHandle<()>,
}

impl Partners {
    /// Opens the ledger and both ports; an address with port 0 takes a free one.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        let gateway = listen("GATEWAY_ADDR", config.gateway_addr).await?;
        let carrier = listen("CARRIER_ADDR", config.carrier_addr).await?;
        let addr = |listener: &TcpListener, addr| listener.local_addr().unwrap_or(addr);
        let (gateway_addr, carrier_addr) = (addr(&gateway, config.gateway_addr), addr(&carrier, config.carrier_addr));

        let path = config.data_dir.clone();
        std::fs::create_dir_all(&path).map_err(|source| StartError::DataDir { path, source })?;
        let path = config.data_dir.join("partners.redb");
        let opened = ledger::Ledger::open(&path);
        let (ledger, writer) = opened.map_err(|source| StartError::Ledger { path, source })?;

        let (stop, calls) = (CancellationToken::new(), TaskTracker::new());
        let desk = |partner, key, setting| {
            let desk = desk::Desk::new(partner, key, ledger.clone(), stop.clone(), calls.clone());
            desk.map(Arc::new).map_err(|_| StartError::Key { setting })
        };
        let gateway_desk = desk(&card_gateway::CARD_GATEWAY, &config.gateway_key, "GATEWAY_KEY")?;
        let carrier_desk = desk(&carrier::CARRIER, &config.carrier_key, "CARRIER_KEY")?;
        let gateway_router = card_gateway::router(gateway_desk, config.authorization_valid_for);
        let mut servers = JoinSet::new();
        servers.spawn(server::serve(gateway, gateway_router, stop.clone()));
        servers.spawn(server::serve(carrier, carrier::router(carrier_desk), stop.clone()));
        tracing::info!(gateway = %gateway_addr, carrier = %carrier_addr, "partners are open");
        Ok(Self { gateway: gateway_addr, carrier: carrier_addr, stop, servers, calls, writer })
    }

    /// Takes no more calls, finishes those in hand (delayed ones are dropped) and closes the ledger.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.servers.join_next().await.is_some() {}
        self.calls.close();
        self.calls.wait().await;
        // The last handle on the ledger went with the servers, so the writer comes to its end.
        let _ = tokio::task::spawn_blocking(move || self.writer.join()).await;
        tracing::info!("partners are closed");
    }
}

async fn listen(setting: &'static str, addr: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(addr).await.map_err(|source| StartError::Listen { setting, addr, source })
}

/// Runs both partners until SIGTERM or ctrl-c.
///
/// # Errors
/// See [`StartError`].
pub async fn serve(config: &Config) -> Result<(), StartError> {
    let partners = Partners::start(config).await?;
    terminated().await;
    partners.stop().await;
    Ok(())
}

async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("the runtime has signals enabled");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

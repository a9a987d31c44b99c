//! What operators see and do when the service's database is older than what the service has said: the steps of
//! `ensemble reconcile`, which takes them in this order.
//!
//! | | |
//! |---|---|
//! | `GET /admin/restored` | whether that is so and why, and how far its readers and calls are |
//! | `GET /admin/restored/lost?after=` | what the own stream holds and the outbox does not know, oldest first |
//! | `POST /admin/outbox/letters` | of *another* service: what it has said about these sagas, `{"sagas": […]}` |
//! | `POST /admin/restored/begin` | asks the partners again |
//! | `POST /admin/restored/retake` | takes these events again, `{"events": [{headers, body}, …]}`, in this order |
//! | `POST /admin/restored/still-lost` | of these events, `{"ids": […]}`, those that nothing has said again |
//! | `POST /admin/restored/follow` | lets the readers begin where they stood in this database |
//! | `POST /admin/restored/put-back` | writes what nothing has said again into the outbox as the stream has it |
//! | `POST /admin/restored/open` | takes everything again, unless something is still missing |

use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::operators::{Desk, Slot};
use crate::{
    edge::{Problem, Query},
    inbox::Inbox,
    restored::{
        Standing,
        repair::{self, Carried, Refused},
    },
    service::Service,
};

/// How many lost events are told at once, each of which is read from the stream.
const PAGE: usize = 200;

/// The routes, for [`super::router`].
pub(crate) fn routes<S: Service>(slot: Slot<S>) -> Router {
    Router::new()
        .route("/admin/restored", get(shown::<S>))
        .route("/admin/restored/lost", get(lost::<S>))
        .route("/admin/restored/retake", post(retake::<S>))
        .route("/admin/restored/begin", post(begin::<S>))
        .route("/admin/restored/still-lost", post(still_lost::<S>))
        .route("/admin/restored/follow", post(follow::<S>))
        .route("/admin/restored/put-back", post(put_back::<S>))
        .route("/admin/restored/open", post(open::<S>))
        .route("/admin/outbox/letters", post(letters::<S>))
        // Operators hand in pages of events.
        .layer(DefaultBodyLimit::disable())
        .with_state(slot)
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Open => saga::Problem::new(409, "nothing-lost", "Nothing is to be put right", refused.to_string()).into(),
            Refused::Unsettled(_) | Refused::Durable(_) => {
                Self::of_status(StatusCode::SERVICE_UNAVAILABLE).saying(refused.to_string()).retry_after(1)
            }
        }
    }
}

async fn shown<S: Service>(Desk(inbox): Desk<S>) -> Result<Json<Value>, Problem> {
    let (standing, why) = match inbox.intake.standing() {
        Standing::Open => return Ok(Json(json!({"standing": "open"}))),
        Standing::InDoubt(_) => ("in_doubt", None),
        Standing::Stopped(why) => ("stopped", Some(why)),
        Standing::Retakes(why) => ("retakes", Some(why)),
        Standing::Follows(why) => ("follows", Some(why)),
    };
    let under_way = repair::under_way(&inbox).await?;
    Ok(Json(json!({"standing": standing, "why": why, "under_way": under_way})))
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

async fn lost<S: Service>(Desk(inbox): Desk<S>, Query(After { after }): Query<After>) -> Result<Json<Value>, Problem> {
    let (lost, next) = repair::lost(&inbox, after, PAGE).await?;
    Ok(Json(json!({"items": lost, "next": next})))
}

#[derive(Deserialize)]
struct Ids {
    ids: Vec<Uuid>,
}

async fn still_lost<S: Service>(Desk(inbox): Desk<S>, Json(Ids { ids }): Json<Ids>) -> Result<Json<Value>, Problem> {
    Ok(Json(json!({"ids": repair::still_lost(&inbox, &ids).await?})))
}

async fn begin<S: Service>(Desk(inbox): Desk<S>) -> Result<Json<Value>, Problem> {
    tracing::info!("an operator begins to put the database right");
    repair::begin(&inbox).await?;
    shown(Desk(inbox)).await
}

#[derive(Deserialize)]
struct Sagas {
    sagas: Vec<Uuid>,
}

async fn letters<S: Service>(Desk(inbox): Desk<S>, Json(Sagas { sagas }): Json<Sagas>) -> Result<Json<Value>, Problem> {
    let letters = repair::letters::<S>(&inbox.pool, &sagas).await.map_err(|error| Problem::unavailable(&error))?;
    Ok(Json(json!({"items": letters})))
}

#[derive(Deserialize)]
struct Events {
    events: Vec<Carried>,
}

async fn retake<S: Service>(Desk(inbox): Desk<S>, Json(Events { events }): Json<Events>) -> Result<Json<Value>, Problem> {
    Ok(Json(json!({"items": repair::retake(&inbox, events).await?})))
}

async fn follow<S: Service>(Desk(inbox): Desk<S>) -> Result<Json<Value>, Problem> {
    tracing::info!("an operator lets the readers begin where they stood in this database");
    repair::follow(&inbox).await?;
    shown(Desk(inbox)).await
}

async fn put_back<S: Service>(Desk(inbox): Desk<S>, Json(Events { events }): Json<Events>) -> Result<Json<Value>, Problem> {
    Ok(Json(json!({"items": repair::put_back(&inbox, events).await?})))
}

async fn open<S: Service>(Desk(inbox): Desk<S>) -> Result<Json<Value>, Problem> {
    let desk: &Inbox<S> = &inbox;
    repair::open(desk).await?;
    shown(Desk(inbox)).await
}

//! Order's routes: what a customer may ask for, and in which words.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use chassis::{
    House,
    commit::Watching,
    edge::{
        Answer, Command, NoFields, Page, Path, Prefer, Problem, ProblemPage, Query,
        sse::{self, Frame, LastEventId},
    },
};
use events::{Address, Currency, CustomerId, Event, EventId, OrderId, PaymentMethod, Sku};
use saga::Receipt;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    domain::{CancelOrder, PlaceOrder, Purchase, Wish},
    reactions::{Input, Order},
    screen::{self, Entry, OrderScreen, Siblings, Status, Summary, Waiting},
    store::{self, Listed},
};

/// What only order refuses.
pub(crate) const PROBLEMS: &[ProblemPage] = &[
    ProblemPage {
        slug: "order-not-priceable",
        status: 422,
        title: "The order cannot be priced",
        text: "A product is not in the catalog or is priced in another currency, or an amount is too large. `errors` names \
               every field at fault by its JSON pointer (RFC 6901). A product that is new may take a moment to be known here.",
    },
    ProblemPage {
        slug: "too-late-to-cancel",
        status: 409,
        title: "It is too late to cancel",
        text: "The goods are gone, or the order has ended otherwise, or is ending. `GET /v1/orders/{id}` tells which.",
    },
];

/// What the routes work with.
#[derive(Clone)]
struct App {
    house: House<Order>,
    siblings: Arc<Siblings>,
}

pub(crate) fn routes(house: House<Order>) -> OpenApiRouter {
    let siblings = Siblings::new(&house.settings, &house.metrics)
        .expect("the breaker's thresholds make sense, and the chassis has set up TLS before it asks for routes");
    OpenApiRouter::new()
        .routes(routes!(place, list))
        .routes(routes!(show))
        .routes(routes!(cancel))
        .routes(routes!(events))
        .with_state(App { house, siblings: Arc::new(siblings) })
}

/// What a customer orders.
#[derive(Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
struct NewOrder {
    /// Who orders.
    #[schema(pattern = "^[\\x21-\\x7e]{1,64}$", example = "c-1001")]
    customer_id: String,
    /// ISO 4217: what the prices are expected in.
    #[schema(value_type = String, pattern = "^[A-Z]{3}$", example = "EUR")]
    #[serde(deserialize_with = "currency")]
    currency: Currency,
    /// What, and how many.
    #[schema(min_items = 1, max_items = 1000)]
    lines: Vec<NewLine>,
    /// The gateway's token for a card, never a card's number.
    #[schema(pattern = "^pm_[A-Za-z0-9_]{1,100}$", example = "pm_card_visa")]
    payment_method: String,
    /// Where it goes.
    ship_to: NewAddress,
}

/// One line. The same product may stand on several.
#[derive(Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
struct NewLine {
    /// The product.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", example = "TEA-001")]
    sku: String,
    /// How many.
    #[schema(minimum = 1, maximum = 1_000_000, example = 2)]
    quantity: u32,
}

/// Where an order goes.
#[derive(Deserialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
struct NewAddress {
    /// Of the person.
    #[schema(min_length = 1, max_length = 200, example = "Ada")]
    name: String,
    /// And number.
    #[schema(min_length = 1, max_length = 200, example = "1 Main St")]
    street: String,
    /// Or town.
    #[schema(min_length = 1, max_length = 200, example = "Berlin")]
    city: String,
    /// As the country writes it.
    #[schema(min_length = 1, max_length = 20, example = "10115")]
    postal_code: String,
    /// ISO 3166-1 alpha-2.
    #[schema(pattern = "^[A-Z]{2}$", example = "DE")]
    country: String,
}

/// Which orders are listed.
#[derive(Deserialize, IntoParams, Debug)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only those that stand so.
    status: Option<Status>,
    /// Only those of that customer.
    customer_id: Option<String>,
    /// Where the last page ended: its `next`.
    #[serde(rename = "cursor")]
    _cursor: Option<String>,
    /// At most so many: 50 unless asked, never more than 200.
    #[serde(rename = "limit")]
    _limit: Option<u32>,
}

/// A page of orders, the youngest first.
#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "describes what `Page` answers")]
struct Orders {
    items: Vec<Summary>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// All that somebody is shown of an order who prefers `return=minimal`.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Outcome {
    /// The order's id.
    #[schema(value_type = Uuid)]
    id: OrderId,
    /// How it stands.
    status: Status,
}

/// What is shown to whoever has ordered.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes the answers of one or the other")]
enum Shown {
    /// Usually.
    Whole(Box<OrderScreen>),
    /// With `return=minimal`.
    Outcome(Outcome),
}

/// Orders. It is accepted at once; with `Prefer: wait` the answer comes when it is confirmed or has ended. With `Prefer:
/// return=minimal` it is no more than `id` and `status`, for whoever wants to know just that, and often.
#[utoipa::path(post, path = "/v1/orders", request_body = NewOrder,
    params(("Prefer" = Option<String>, Header, description = "`wait=10`: up to 30 seconds; `return=minimal`: `id` and `status` alone", example = "wait=10")),
    responses(
        (status = 201, description = "It is confirmed, or has ended. The other services' parts as the order has heard of them", body = Shown),
        (status = 202, description = "It is accepted. Without `Prefer` the order's own part alone", body = Shown)
    ))]
async fn place(State(app): State<App>, prefer: Prefer, order: Command<NewOrder>) -> Result<Response, Problem> {
    let drawn = OrderId(Uuid::now_v7());
    // Before it is placed, or it may have come to rest before anybody waits.
    let watching = prefer.wait.map(|_| app.house.watch(drawn));
    let answer = order.submit(&app.house.door, |order| Input::PlaceOrder(order.placed_as(drawn))).await?;
    // A repeat is answered with the order that the first request drew.
    let id = named_in(&answer.receipt).unwrap_or(drawn);
    let answer = answer.at(&format!("/v1/orders/{id}"));
    let watching = watching.map(|watching| if id == drawn { watching } else { app.house.watch(id) });
    let answer = match watching {
        None if !prefer.minimal => answer,
        None => answer.showing(Receipt::new(202, &Outcome { id, status: Status::Placed })),
        Some(watching) if prefer.minimal => app.outcome(id, watching, &prefer, answer).await,
        Some(watching) => app.whole(id, watching, &prefer, answer).await,
    };
    Ok(prefer.applied(answer.into_response()))
}

/// Lists orders, the youngest first.
#[utoipa::path(get, path = "/v1/orders", params(Filter), responses((status = 200, description = "A page of them", body = Orders)))]
async fn list(State(app): State<App>, Query(filter): Query<Filter>, page: Page<OrderId>) -> Result<Response, Problem> {
    let which = Listed { customer_id: filter.customer_id, status: filter.status, before: page.after, limit: page.to_load() };
    let found = store::list(&app.house.pool, which).await.map_err(|error| Problem::unavailable(&error))?;
    let summaries: Vec<Summary> = found.iter().map(|(id, order)| screen::summary(*id, order)).collect();
    Ok(page.answer(summaries, |summary| summary.id))
}

/// Shows an order: its own part, the other services' parts, what is owed, and its timeline.
#[utoipa::path(get, path = "/v1/orders/{id}", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The order", body = OrderScreen)))]
async fn show(State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<OrderScreen>, Problem> {
    let screen = app.screen(OrderId(id)).await.map_err(|error| Problem::unavailable(&error))?;
    screen.map(Json).ok_or_else(unknown)
}

/// Wishes an order cancelled. Shipping decides whether it is too late; the order tells.
#[utoipa::path(post, path = "/v1/orders/{id}/cancel", params(("id" = Uuid, Path)), request_body = NoFields,
    responses(
        (status = 202, description = "Shipping is asked", body = screen::Own),
        (status = 200, description = "It is cancelled already", body = screen::Own)
    ))]
async fn cancel(State(app): State<App>, Path(id): Path<Uuid>, wish: Command<NoFields>) -> Result<Answer, Problem> {
    wish.submit(&app.house.door, |NoFields {}| Input::CancelOrder(CancelOrder { order: OrderId(id) })).await
}

/// Tells an order's timeline: what has happened, then what happens, until it has ended.
#[utoipa::path(get, path = "/v1/orders/{id}/events", params(("id" = Uuid, Path)),
    responses((status = 200, description = "Server-sent events", content_type = "text/event-stream", body = Entry)))]
async fn events(State(app): State<App>, Path(id): Path<Uuid>, LastEventId(last): LastEventId) -> Result<Response, Problem> {
    let id = OrderId(id);
    let watching = app.house.watch(id);
    let status = store::standing(&app.house, id).await.map_err(|error| Problem::unavailable(&error))?;
    status.ok_or_else(unknown)?;
    let stopping = app.house.stopping().clone();
    let telling = Telling { app, id, watching, last, told: HashSet::new(), next: VecDeque::new(), first: true, ended: false };
    let frames = futures_util::stream::unfold(telling, |mut telling| async move {
        let frame = telling.next().await?;
        Some((frame, telling))
    });
    Ok(sse::respond(frames, stopping))
}

/// Said in few words: the type's own refusal lists every currency there is.
fn currency<'de, D: Deserializer<'de>>(from: D) -> Result<Currency, D::Error> {
    Currency::from_code(&String::deserialize(from)?).ok_or_else(|| D::Error::custom("is no currency of ISO 4217"))
}

const fn created_if(status: Status) -> u16 {
    if status.rests() { 201 } else { 202 }
}

fn unknown() -> Problem {
    Problem::not_found("There is no such order.")
}

fn named_in(receipt: &Receipt) -> Option<OrderId> {
    receipt.body.get("id").and_then(|id| id.as_str()?.parse().ok())
}

impl NewOrder {
    fn placed_as(self, order: OrderId) -> PlaceOrder {
        let NewAddress { name, street, city, postal_code, country } = self.ship_to;
        PlaceOrder {
            order,
            customer_id: CustomerId(self.customer_id),
            currency: self.currency,
            lines: self.lines.into_iter().map(|line| Wish { sku: Sku(line.sku), quantity: line.quantity }).collect(),
            payment_method: PaymentMethod(self.payment_method),
            ship_to: Address { name, street, city, postal_code, country },
            agreed: None,
        }
    }
}

impl App {
    /// Shows the order as soon as it is confirmed or has ended, or as it stands when nobody wants to wait any longer. It is
    /// accepted whatever becomes of this look at it.
    async fn whole(&self, id: OrderId, watching: Watching, prefer: &Prefer, answer: Answer) -> Answer {
        let rests = prefer.wait_for(self.rest(id, watching, answer.replayed), self.house.stopping()).await;
        match self.waited_for(id, rests.flatten()).await {
            Ok(Some(screen)) => answer.showing(Receipt::new(created_if(screen.own.summary.status), &screen)),
            Ok(None) => answer,
            Err(error) => {
                tracing::warn!(%error, "an order was accepted, and cannot be shown");
                answer
            }
        }
    }

    /// As [`whole`](Self::whole), and says only how it stands.
    async fn outcome(&self, id: OrderId, watching: Watching, prefer: &Prefer, answer: Answer) -> Answer {
        let rests = prefer.wait_for(self.rests_as(id, watching, answer.replayed), self.house.stopping()).await;
        let status = match rests {
            Some(status) => Some(status),
            None => self.standing(id).await,
        };
        let status = status.unwrap_or(Status::Placed);
        answer.showing(Receipt::new(created_if(status), &Outcome { id, status }))
    }

    /// How the order stands, once it is confirmed or has ended. What was told here has been committed: nobody reads it again.
    async fn rests_as(&self, id: OrderId, mut watching: Watching, old: bool) -> Status {
        let mut told = if old { None } else { watching.came_out().await };
        loop {
            let told_as = told.as_deref().and_then(Status::told_by);
            let status = if told_as.is_some() { told_as } else { self.standing(id).await };
            if let Some(status) = status.filter(|status| status.rests()) {
                return status;
            }
            told = watching.came_out().await;
        }
    }

    /// None when it cannot be read.
    async fn standing(&self, id: OrderId) -> Option<Status> {
        let standing = store::standing(&self.house, id).await;
        standing.inspect_err(|error| tracing::warn!(%error, "an order is waited for, and cannot be read")).ok().flatten()
    }

    /// The order with its timeline, once it is confirmed or has ended; none when there is none. `old`: it may be so already.
    async fn rest(&self, id: OrderId, mut watching: Watching, old: bool) -> Option<Told> {
        let mut may = old || watching.came_out().await.is_some();
        loop {
            // Nobody has told of it here, so it is probably not so: that is asked for less.
            if may || self.may_rest(id).await {
                match self.told(id).await {
                    Ok(Some(told)) if screen::status(&told.0.standing).rests() => return Some(told),
                    Ok(Some(_)) => {}
                    Ok(None) => return None,
                    Err(error) => tracing::warn!(%error, "an order is waited for, and cannot be read"),
                }
            }
            may = watching.came_out().await.is_some();
        }
    }

    /// Unless it is known that it does not: what else there is to say of it, whoever reads the whole says.
    async fn may_rest(&self, id: OrderId) -> bool {
        self.standing(id).await.is_none_or(Status::rests)
    }

    /// The screen, if there is such an order.
    async fn screen(&self, id: OrderId) -> Result<Option<OrderScreen>, Arc<sqlx::Error>> {
        let (parts, told, waiting) = tokio::join!(self.siblings.parts(id), self.told(id), self.house.waiting(id));
        let (Some((order, timeline)), waiting) = (told?, waiting?) else { return Ok(None) };
        Ok(Some(screen::whole(id, &order, timeline, parts, waiting.map(Waiting::from))))
    }

    /// What whoever waited is shown. Of an order that rests every word has been heard, and asking the three others for theirs
    /// would cost more than the saga; what one that does not waits for is theirs to tell.
    async fn waited_for(&self, id: OrderId, rests: Option<Told>) -> Result<Option<OrderScreen>, Arc<sqlx::Error>> {
        if let Some((order, timeline)) = rests {
            let parts = screen::heard(&timeline);
            return Ok(Some(screen::whole(id, &order, timeline, parts, None)));
        }
        self.screen(id).await
    }

    /// The order with the timeline that led to it, if there is such an order.
    async fn told(&self, id: OrderId) -> Result<Option<Told>, Arc<sqlx::Error>> {
        let told = store::told(&self.house, id).await?;
        Ok(told.map(|(order, log)| (order, screen::events_of(log))))
    }
}

/// An order as it stands, and what has led to it.
type Told = (Purchase, Vec<Entry>);

/// Tells a timeline to somebody who listens.
struct Telling {
    app: App,
    id: OrderId,
    watching: Watching,
    /// What the listener says to have seen last.
    last: Option<String>,
    told: HashSet<EventId>,
    next: VecDeque<Entry>,
    first: bool,
    ended: bool,
}

impl Telling {
    /// None at the end, or when the order cannot be read: the listener comes again, and says what it has seen.
    async fn next(&mut self) -> Option<Frame<Entry>> {
        loop {
            if let Some(entry) = self.next.pop_front() {
                let info = Event::ALL.iter().find(|info| info.ty == entry.ty);
                return Some(Frame { id: entry.id.to_string(), name: info.map_or("event", |info| info.name), data: entry });
            }
            if self.ended {
                return None;
            }
            if !std::mem::take(&mut self.first) {
                self.watching.moved().await;
            }
            let (order, timeline) = self.app.told(self.id).await.ok()??;
            let seen = timeline.iter().position(|entry| Some(entry.id.to_string()) == self.last).map_or(0, |at| at + 1);
            self.told.extend(timeline[..seen].iter().map(|entry| entry.id));
            let told = &mut self.told;
            self.next.extend(timeline.into_iter().filter(|entry| told.insert(entry.id)));
            self.ended = order.standing.is_over();
        }
    }
}

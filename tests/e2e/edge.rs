//! What is wrong with a request is said, all of it at once, and leaves no row anywhere.

use std::sync::Arc;

use anyhow::ensure;
use libtest_mimic::Trial;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tests::Basket;

use crate::world::{Shared, Trials, World};

pub(crate) fn trials(shared: &Arc<Shared>) -> Vec<Trial> {
    let mut trials = Trials::on(shared, "edge");
    trials.add("every_fault_of_a_body_is_named_at_once", faults);
    trials.add("row_34_what_is_no_order_is_a_problem", problems);
    trials.add("a_key_is_required_and_kept", keys);
    trials.add("the_same_key_at_once_makes_one_order", same_key_at_once);
    trials.add("whoever_looks_at_the_same_moment_is_shown_his_own_order", looking_at_once);
    trials.add("orders_are_listed_page_by_page", pages);
    trials.add("the_api_describes_itself", described);
    trials.all()
}

async fn problem(answer: Response, status: u16) -> anyhow::Result<Value> {
    let (seen, kind) = (answer.status(), answer.headers().get("content-type").cloned());
    let text = answer.text().await?;
    ensure!(seen == status, "{seen} instead of {status}: {text}");
    ensure!(kind.is_some_and(|kind| kind == "application/problem+json"), "not a problem document: {text}");
    Ok(serde_json::from_str(&text)?)
}

fn pointers(problem: &Value) -> Vec<String> {
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().filter_map(|error| error["pointer"].as_str().map(str::to_owned)).collect()
}

async fn faults(world: Arc<World>) -> anyhow::Result<()> {
    let mut body = Basket::of("TEA-001", 1).and("TEA-001", 1).0;
    body["lines"][0]["quantity"] = json!(0);
    body["lines"][1]["quantity"] = json!(-3);
    body["currency"] = json!("euro");
    body["ship_to"]["country"] = json!(7);
    let problem = problem(world.customer.post(&body, &world.tag()).await?, 422).await?;
    let pointers = pointers(&problem);
    for at in ["/lines/0/quantity", "/lines/1/quantity", "/currency", "/ship_to/country"] {
        ensure!(pointers.iter().any(|pointer| pointer == at), "{at} is not named in {pointers:?}");
    }
    let unknown = Basket::of("NO-SUCH-A", 1).and("TEA-001", 1).and("NO-SUCH-B", 1);
    let problem = self::problem(world.customer.post(&unknown.0, &world.tag()).await?, 422).await?;
    ensure!(self::pointers(&problem) == ["/lines/0/sku", "/lines/2/sku"], "{problem:#}");
    Ok(())
}

async fn problems(world: Arc<World>) -> anyhow::Result<()> {
    let customer = &world.customer;
    let with = |change: fn(&mut Value)| {
        let mut body = Basket::of("TEA-001", 1).0;
        change(&mut body);
        body
    };
    let cases = [
        with(|body| body["lines"] = json!([])),
        with(|body| body["lines"] = json!(vec![json!({"sku": "TEA-001", "quantity": 1}); 1001])),
        with(|body| body["lines"] = json!(vec![json!({"sku": "TEA-001", "quantity": u64::MAX}); 2])),
        with(|body| body["currency"] = json!("USD")),
        with(|body| body["customer_id"] = json!("")),
        with(|body| body["payment_method"] = json!("4242 4242 4242 4242")),
        json!([]),
        json!({}),
    ];
    for body in cases {
        problem(customer.post(&body, &world.tag()).await?, 422).await?;
    }
    let post = || customer.request(Method::POST, "/v1/orders").header("Idempotency-Key", world.key());
    problem(post().header("content-type", "application/json").body("{\"customer_id\":").send().await?, 400).await?;
    problem(post().header("content-type", "application/json").body(vec![0xff, 0xfe, 0x00]).send().await?, 400).await?;
    problem(post().header("content-type", "text/plain").body("hello").send().await?, 415).await?;
    let large = post().header("content-type", "application/json").body(vec![b' '; 300 * 1024]).send().await?;
    ensure!(large.headers().get("connection").is_some_and(|value| value == "close"), "the next request would be lost: {large:?}");
    problem(large, 413).await?;
    problem(customer.request(Method::GET, "/v1/nothing").send().await?, 404).await?;
    problem(customer.request(Method::DELETE, "/v1/orders").send().await?, 405).await?;
    problem(customer.request(Method::GET, &format!("/v1/orders/{}", uuid::Uuid::now_v7())).send().await?, 404).await?;
    Ok(())
}

async fn keys(world: Arc<World>) -> anyhow::Result<()> {
    let (customer, basket) = (&world.customer, Basket::of("TEA-001", 1));
    problem(customer.request(Method::POST, "/v1/orders").json(&basket.0).send().await?, 400).await?;
    for bad in ["\"\"", "not quoted", &format!("\"{}\"", "x".repeat(256))] {
        problem(customer.request(Method::POST, "/v1/orders").header("Idempotency-Key", bad).json(&basket.0).send().await?, 400)
            .await?;
    }
    let key = world.tag();
    let first: Value = customer.post(&basket.0, &key).await?.json().await?;
    let again = customer.post(&basket.0, &key).await?;
    ensure!(again.status() == 202 && again.headers()["idempotent-replayed"] == "true", "{again:?}");
    ensure!(again.json::<Value>().await?["id"] == first["id"], "another order");
    problem(customer.post(&Basket::of("TEA-001", 2).0, &key).await?, 422).await?;
    // A refusal frees the key.
    let key = world.tag();
    problem(customer.post(&Basket::of("NO-SUCH", 1).0, &key).await?, 422).await?;
    ensure!(customer.post(&basket.0, &key).await?.status() == 202, "the key is not free");
    Ok(())
}

async fn same_key_at_once(world: Arc<World>) -> anyhow::Result<()> {
    let (key, basket) = (world.tag(), Basket::of("TEA-001", 1));
    let answers = futures_util::future::try_join_all((0..20).map(|_| world.customer.post(&basket.0, &key))).await?;
    let mut ids = std::collections::BTreeSet::new();
    for answer in answers {
        match answer.status().as_u16() {
            202 => drop(ids.insert(answer.json::<Value>().await?["id"].to_string())),
            409 => ensure!(answer.headers().contains_key("retry-after"), "{answer:?}"),
            other => anyhow::bail!("{other}"),
        }
    }
    ensure!(ids.len() == 1, "{ids:?}");
    Ok(())
}

/// Those who look at the same moment are answered by one query.
async fn looking_at_once(world: Arc<World>) -> anyhow::Result<()> {
    let mut orders = Vec::new();
    for basket in [Basket::of("TEA-001", 1), Basket::of("TEA-001", 2), Basket::of("TEA-001", 3).to_country("AQ")] {
        orders.push(world.customer.orders(&basket).await?.1);
    }
    let looks = (0..60).map(|n| {
        let (world, order) = (&world, orders.get(n % 4));
        async move {
            // Among those who look at what there is, somebody looks at what there is not.
            let id = order
                .map_or_else(|| uuid::Uuid::now_v7().to_string(), |order| order.0["id"].as_str().unwrap_or_default().to_owned());
            let answer = world.customer.request(Method::GET, &format!("/v1/orders/{id}")).send().await?;
            let Some(order) = order else { return problem(answer, 404).await.map(drop) };
            let shown: Value = answer.json().await?;
            for part in ["id", "status", "total"] {
                ensure!(!shown[part].is_null() && shown[part] == order.0[part], "{part} of {id}: {shown:#}");
            }
            ensure!(shown["timeline"].as_array().is_some_and(|timeline| timeline.len() > 3), "{shown:#}");
            Ok(())
        }
    });
    futures_util::future::try_join_all(looks).await.map(drop)
}

async fn pages(world: Arc<World>) -> anyhow::Result<()> {
    let who = world.tag();
    let mut basket = Basket::of("TEA-001", 1);
    basket.0["customer_id"] = json!(who);
    for _ in 0..5 {
        world.customer.places(&basket).await?;
    }
    let (mut seen, mut path) = (Vec::new(), format!("/v1/orders?customer_id={who}&limit=2"));
    loop {
        let answer = world.customer.request(Method::GET, &path).send().await?;
        ensure!(answer.status() == 200, "{}", answer.status());
        let next = answer.headers().get("link").and_then(|link| link.to_str().ok()).map(str::to_owned);
        let body: Value = answer.json().await?;
        let items = body["items"].as_array().cloned().unwrap_or_default();
        seen.extend(items.iter().filter_map(|order| order["id"].as_str().map(str::to_owned)));
        let Some(link) = next.filter(|link| link.contains("rel=\"next\"")) else { break };
        path = link.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
    }
    let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
    ensure!(seen.len() == 5 && distinct.len() == 5, "{seen:?}");
    Ok(())
}

async fn described(world: Arc<World>) -> anyhow::Result<()> {
    let document: Value = world.customer.request(Method::GET, "/openapi.json").send().await?.json().await?;
    ensure!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{}", document["openapi"]);
    ensure!(document["paths"]["/v1/orders"]["post"].is_object(), "{:#}", document["paths"]);
    let docs = world.customer.request(Method::GET, "/docs/").send().await?;
    ensure!(docs.status() == 200 && docs.text().await?.contains("swagger"), "no readable page");
    Ok(())
}

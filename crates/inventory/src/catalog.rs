//! The first catalog: what the shelves hold when the service starts for the first time.

use events::named;
use saga::{Claim, batch::Arrived};

use crate::{Input, IntroduceProduct, Inventory};

/// The data, so that a shop changes a file and no program.
const CATALOG: &str = include_str!("../catalog.json");

/// A command for each product of `catalog.json`. They may be given at every start: a product that is known stays as it
/// is, and their claims are derived from their content.
///
/// # Panics
/// When the file is not what it should be, which this crate's tests would have met.
pub fn first_catalog() -> Vec<Arrived<Inventory>> {
    let products: Vec<IntroduceProduct> = serde_json::from_str(CATALOG).expect("catalog.json holds products");
    products.into_iter().map(|product| Arrived { claim: claim(&product), input: Input::IntroduceProduct(product) }).collect()
}

fn claim(product: &IntroduceProduct) -> Claim {
    let IntroduceProduct { sku, name, price, count } = product;
    let id = named("catalog", &format!("{sku}/{name}/{price}/{count}"));
    let mut key = [0_u8; 32];
    key[..16].copy_from_slice(id.as_bytes());
    Claim::Request { key, fingerprint: key }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::RECEIVED_MAX;

    #[test]
    fn a_shop_with_plenty_scarce_and_sold_out() {
        let catalog = first_catalog();
        assert!(catalog.len() >= 200, "{}", catalog.len());
        assert_eq!(catalog.iter().map(|arrived| arrived.claim.id()).collect::<HashSet<_>>().len(), catalog.len());
        let counts: Vec<_> = catalog
            .iter()
            .map(|arrived| match &arrived.input {
                Input::IntroduceProduct(product) => product,
                other => panic!("{other:?}"),
            })
            .inspect(|product| assert!(product.price.amount > 0 && product.count <= RECEIVED_MAX, "{product:?}"))
            .map(|product| (product.sku.to_string(), product.count))
            .collect();
        assert_eq!(counts.iter().map(|(sku, _)| sku).collect::<HashSet<_>>().len(), counts.len(), "a SKU comes twice");
        assert!(counts.iter().any(|(sku, count)| sku == "TEA-001" && *count > 100_000));
        assert!(counts.iter().any(|(_, count)| *count == 0) && counts.iter().any(|(_, count)| (1..5).contains(count)));
    }
}

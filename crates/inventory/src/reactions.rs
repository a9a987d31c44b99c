//! What inventory does, and when.
use events::*;

use super::domain::*;

saga::reactions! {
    "inventory": Inventory keeps Shelves;
    /// Sets every line aside, or none.
    step Reserve: undone by Release {
        on       OrderPlaced                     => reserve;
        says     StockReserved, StockUnavailable;
    }
    /// Turns what was set aside into a sale.
    step Commit: retriable undone by Release {
        on       OrderConfirmed                  => commit;
        says     StockCommitted;
    }
    /// Puts what was set aside, or sold and not yet gone, back on the shelf.
    undo Release {
        on       PaymentDeclined, ShipmentRefused => release;
        on       ShipmentCancelled               => restock;
        confirms StockReleased;
    }
    /// Lists a product of the first catalog with its count, unless it is known already.
    step Introduce: alone {
        command  IntroduceProduct                => introduce;
        says     ProductChanged;
    }
    /// Gives a product its name and price; a new one comes without stock.
    step Put: alone {
        command  PutProduct                      => put;
        says     ProductChanged;
    }
    /// Counts goods in or out, outside any order.
    step Adjust: alone {
        command  AdjustStock                     => adjust;
        command  RecallProduct                   => recall;
        says     ProductChanged;
    }
    /// Says again what is known of products, so that a replica of the catalog can be made anew.
    step Announce: alone {
        command  AnnounceProducts                => announce;
        says     ProductChanged;
    }
}

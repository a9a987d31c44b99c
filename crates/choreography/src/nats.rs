//! What the services need of the broker, from the declarations: names, subjects, permissions.

use events::EventInfo;

/// The stream that a service alone publishes to.
pub(crate) fn stream(service: &str) -> String {
    service.to_uppercase()
}

/// A service's durable consumer of that event.
pub(crate) fn consumer(service: &str, event: &EventInfo) -> String {
    format!("{service}-{}", event.name.replace('.', "_"))
}

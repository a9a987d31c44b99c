//! Acknowledgements go out together. Nobody waits for one, and each that goes alone is a write of the client and a wake-up of the
//! broker: under load they would cost more than what they acknowledge.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::jetstream::{AckKind, Message};
use tokio::time::sleep;

use crate::failpoint::Boundary;

/// So long the first of them waits for others: a small part of the broker's ack wait.
const COMPANY: Duration = Duration::from_millis(5);

/// Those that are about to be sent.
#[derive(Default)]
pub(crate) struct Acknowledging(Mutex<Vec<(Message, AckKind)>>);

impl Acknowledging {
    /// Tells the broker how the message has ended. Whoever comes first waits a moment, and sends for all who came meanwhile; they
    /// need not wait for that. One that is lost comes again, and its claim drops it.
    pub(super) async fn send(&self, message: Message, how: AckKind) {
        if !self.is_first(message, how) {
            return;
        }
        sleep(COMPANY).await;
        let together = mem::take(&mut *self.waiting());
        for (message, how) in together {
            let sent = async {
                message.ack_with(how).await?;
                Ok::<_, async_nats::Error>(Boundary::Ack.after().reached().await?)
            };
            if let Err(error) = sent.await {
                tracing::debug!(%error, "an acknowledgement was lost; the message comes again and its claim drops it");
            }
        }
    }

    fn is_first(&self, message: Message, how: AckKind) -> bool {
        let mut waiting = self.waiting();
        waiting.push((message, how));
        waiting.len() == 1
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(Message, AckKind)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

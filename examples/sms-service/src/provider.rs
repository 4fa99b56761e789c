//! The slow thing: a stand-in for an SMS provider.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::sms::{Receipt, SendSms};

/// A provider that takes its time, and knows a message that it has seen by the key that came with it.
///
/// Most providers take such a key. It is what turns "at least once" into "once": a worker that dies between sending and
/// saying so has its task run again, and the provider gives the first receipt again.
#[derive(Debug)]
pub struct Provider {
    time_per_call: Duration,
    sent: Mutex<BTreeMap<String, Receipt>>,
}

/// Why the provider did not take a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The number is none. Asking again would not help.
    NoSuchNumber(String),
}

impl Provider {
    /// A provider that takes this long for each call.
    #[must_use]
    pub fn new(time_per_call: Duration) -> Self {
        Self { time_per_call, sent: Mutex::default() }
    }

    /// Sends a message, once for each key.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn send(&self, key: &str, sms: &SendSms) -> Result<Receipt, Refusal> {
        tokio::time::sleep(self.time_per_call).await;
        if !sms.to.starts_with('+') {
            return Err(Refusal::NoSuchNumber(sms.to.clone()));
        }
        let mut sent = self.sent();
        let number = sent.len() + 1;
        let first = || Receipt { provider_id: format!("sms-{number}") };
        Ok(sent.entry(key.to_owned()).or_insert_with(first).clone())
    }

    /// How many messages went out.
    #[must_use]
    pub fn count(&self) -> usize {
        self.sent().len()
    }

    fn sent(&self) -> MutexGuard<'_, BTreeMap<String, Receipt>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

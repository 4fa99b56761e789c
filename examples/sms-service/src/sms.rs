//! The task: what the service asks for, and what the worker answers.

use forebay_client::TaskType;
use serde::{Deserialize, Serialize};

/// A message to be sent. As JSON it is the payload of the task, and the body of the service's requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendSms {
    /// The number, with a plus and the country's code.
    pub to: String,
    /// What it says.
    pub text: String,
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The provider's own number for the message.
    pub provider_id: String,
}

impl TaskType for SendSms {
    const NAME: &'static str = "sms.send";
    const QUEUE: &'static str = "sms";
    type Output = Receipt;
}

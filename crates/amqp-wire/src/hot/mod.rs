//! The message path: methods that come and go once per message, without an allocation.
//!
//! What is read are ranges and numbers; what is written goes straight to the end of a buffer that is sent as a whole.

mod encode;
mod parse;

pub use encode::{
    Content, Delivery, GetAnswer, Publication, ReturnedMessage, ack, basic_return, body_frame_start,
    body_frames, deliver, deliver_start, get_ok, heartbeat, nack, publish,
};
pub use parse::{HotMethod, PublishView};

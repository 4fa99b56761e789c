//! A caller whose line broke asks again, under the same key.

use message_properties::PropertiesView;

use crate::broker::Broker;
use crate::effect::{Effect, Recipient, ReplyHead};
use crate::output::Output;
use crate::reply_to::{UNSENT_REPLY_BYTES_MAX, is_reply_address};
use crate::task::{TaskId, TaskOptions, TaskState};
use crate::{Envelope, StoredMessage};

impl Broker {
    /// Lets the reply of a task go to another direct reply address than that of the caller whose line broke; at once, if the task
    /// has ended. A reply to a queue needs nothing: the queue is still there, or the reply in it.
    pub(crate) fn reattach(&mut self, id: TaskId, options: &TaskOptions, out: &mut Output) {
        let Some(address) = options.reply_to.clone().filter(|address| is_reply_address(address)) else {
            return;
        };
        let head = ReplyHead { address, correlation_id: options.correlation_id.clone() };
        let Some(task) = self.tasks.get_mut(id) else { return };
        match task.end() {
            None => task.reattached = Some(Box::new(head)),
            Some(end) => {
                let (state, result) = (end.state, end.result);
                self.reply_again(head, state, result, out);
            }
        }
    }

    fn reply_again(
        &mut self,
        reply: ReplyHead,
        state: TaskState,
        result: Option<StoredMessage>,
        out: &mut Output,
    ) {
        let Some(&to) = self.replies.get(&reply.address) else { return };
        let Some(connection) = self.connections.get_mut(&to.connection) else { return };
        if connection.unsent_bytes > UNSENT_REPLY_BYTES_MAX {
            self.counters.replies_dropped += 1;
            return;
        }
        let Some(session) = connection.sessions.get_mut(&to.channel) else { return };
        let Some(consumer) = &session.reply_consumer else { return };
        let consumer_tag = consumer.tag.clone();
        let delivery_tag = session.next_delivery_tag();
        let effect = match result {
            Some(message) => {
                connection.unsent_bytes += u64::from(message.stored_bytes);
                Effect::RepliedAgain { consumer_tag, delivery_tag, reply: Box::new(reply), state, message }
            }
            None => {
                let envelope = empty_reply(&reply, state);
                connection.unsent_bytes += envelope.stored_bytes() as u64;
                Effect::Replied { consumer_tag, delivery_tag, envelope }
            }
        };
        out.effect(Recipient::Session(to), out.position(), effect);
    }
}

fn empty_reply(reply: &ReplyHead, state: TaskState) -> Envelope {
    let properties = reply.reply_properties(PropertiesView::NONE.as_bytes(), state);
    Envelope::new(b"", &reply.address, &properties, b"")
}

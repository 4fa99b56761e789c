//! The table of methods: AMQP 0-9-1 and RabbitMQ's additions, class by class.
//!
//! Numbers, order and kinds of arguments are those of RabbitMQ's `amqp-rabbitmq-0.9.1.json`. What the methods mean to
//! the broker stands where they are carried out; here they are shapes.

use std::fmt;

use bytes::Bytes;
use field_table::{ShortString, Table};

use super::argument::{Argument, ArgumentError, ArgumentReader, ArgumentWriter};
use super::define::define_methods;
use super::{ArgumentSpec, MethodArguments, MethodError, MethodId, MethodSpec};
use crate::frame::{FrameKind, encode_frame};

define_methods! {
    /// The connection itself: greeting, limits, end. Channel 0 only.
    connection(Connection) = 10 {
        /// The server's greeting.
        Start = 10, "connection.start", {
            /// 0.
            version_major: u8,
            /// 9.
            version_minor: u8,
            /// What the server is and can do.
            server_properties: Table,
            /// SASL mechanisms, separated by spaces.
            mechanisms: Bytes,
            /// Locales, separated by spaces.
            locales: Bytes,
        };
        /// The client's choice of mechanism and locale.
        StartOk = 11, "connection.start-ok", {
            /// What the client is and can do.
            client_properties: Table,
            /// The chosen SASL mechanism.
            mechanism: ShortString,
            /// What the mechanism sends first; holds credentials.
            response: Bytes as secret,
            /// The chosen locale.
            locale: ShortString,
        };
        /// A further question of the SASL mechanism.
        Secure = 20, "connection.secure", {
            /// What the mechanism asks.
            challenge: Bytes as secret,
        };
        /// The answer to a further question.
        SecureOk = 21, "connection.secure-ok", {
            /// What the mechanism answers; holds credentials.
            response: Bytes as secret,
        };
        /// The limits that the server offers.
        Tune = 30, "connection.tune", {
            /// Highest channel number; 0 for no limit.
            channel_max: u16,
            /// Largest frame in bytes, overhead included; 0 for no limit.
            frame_max: u32,
            /// Heartbeat interval in seconds; 0 for none.
            heartbeat: u16,
        };
        /// The limits that the client takes.
        TuneOk = 31, "connection.tune-ok", {
            /// Highest channel number; 0 for no limit.
            channel_max: u16,
            /// Largest frame in bytes, overhead included; 0 for no limit.
            frame_max: u32,
            /// Heartbeat interval in seconds; 0 for none.
            heartbeat: u16,
        };
        /// Chooses the virtual host.
        Open = 40, "connection.open", {
            /// The virtual host.
            virtual_host: ShortString,
        }, reserved(ShortString, bool);
        /// The connection is ready.
        OpenOk = 41, "connection.open-ok", {}, reserved(ShortString);
        /// Ends the connection.
        Close = 50, "connection.close", {
            /// Why, as a number.
            reply_code: u16,
            /// Why, as text.
            reply_text: ShortString,
            /// Class of the failing method, or 0.
            class_id: u16,
            /// Number of the failing method, or 0.
            method_id: u16,
        };
        /// The end is confirmed.
        CloseOk = 51, "connection.close-ok", {};
        /// RabbitMQ: the server takes no publishes for now.
        Blocked = 60, "connection.blocked", {
            /// What is short.
            reason: ShortString,
        };
        /// RabbitMQ: the server takes publishes again.
        Unblocked = 61, "connection.unblocked", {};
        /// RabbitMQ: fresh credentials for a running connection.
        UpdateSecret = 70, "connection.update-secret", {
            /// The new secret.
            new_secret: Bytes as secret,
            /// Why it is renewed.
            reason: ShortString,
        };
        /// RabbitMQ: the fresh credentials are taken.
        UpdateSecretOk = 71, "connection.update-secret-ok", {};
    }

    /// Channels: independent conversations on one connection.
    channel(Channel) = 20 {
        /// Opens the channel.
        Open = 10, "channel.open", {}, reserved(ShortString);
        /// The channel is open.
        OpenOk = 11, "channel.open-ok", {}, reserved(Bytes);
        /// Asks the peer to pause or to resume content.
        Flow = 20, "channel.flow", {
            /// Whether content may flow.
            active: bool,
        };
        /// Confirms the pause or the resumption.
        FlowOk = 21, "channel.flow-ok", {
            /// Whether content flows.
            active: bool,
        };
        /// Ends the channel.
        Close = 40, "channel.close", {
            /// Why, as a number.
            reply_code: u16,
            /// Why, as text.
            reply_text: ShortString,
            /// Class of the failing method, or 0.
            class_id: u16,
            /// Number of the failing method, or 0.
            method_id: u16,
        };
        /// The end is confirmed.
        CloseOk = 41, "channel.close-ok", {};
    }

    /// Tickets of AMQP 0-8, which old clients still ask for.
    access(Access) = 30 {
        /// Asks for a ticket.
        Request = 10, "access.request", {
            /// The realm.
            realm: ShortString,
            /// Nobody else may have access.
            exclusive: bool,
            /// Only an existing realm.
            passive: bool,
            /// To manage.
            active: bool,
            /// To publish.
            write: bool,
            /// To consume.
            read: bool,
        };
        /// Grants a ticket.
        RequestOk = 11, "access.request-ok", {
            /// The ticket; ignored wherever it comes back.
            ticket: u16,
        };
    }

    /// Exchanges: where messages are published and sorted.
    exchange(Exchange) = 40 {
        /// Creates an exchange, or checks that it is there.
        Declare = 10, "exchange.declare", reserved(u16), {
            /// Its name.
            exchange: ShortString,
            /// Its type: `direct`, `fanout`, `topic`, `headers` or an extension.
            kind: ShortString,
            /// Only check that it is there.
            passive: bool,
            /// It survives a restart.
            durable: bool,
            /// It goes with its last binding.
            auto_delete: bool,
            /// Clients may not publish to it.
            internal: bool,
            /// No answer is wanted.
            no_wait: bool,
            /// Further settings.
            arguments: Table,
        };
        /// The exchange is there.
        DeclareOk = 11, "exchange.declare-ok", {};
        /// Deletes an exchange.
        Delete = 20, "exchange.delete", reserved(u16), {
            /// Its name.
            exchange: ShortString,
            /// Only without bindings.
            if_unused: bool,
            /// No answer is wanted.
            no_wait: bool,
        };
        /// The exchange is gone.
        DeleteOk = 21, "exchange.delete-ok", {};
        /// RabbitMQ: binds an exchange to an exchange.
        Bind = 30, "exchange.bind", reserved(u16), {
            /// Where messages go.
            destination: ShortString,
            /// Where they come from.
            source: ShortString,
            /// What is matched with their routing key.
            routing_key: ShortString,
            /// No answer is wanted.
            no_wait: bool,
            /// Further conditions.
            arguments: Table,
        };
        /// RabbitMQ: the binding is there.
        BindOk = 31, "exchange.bind-ok", {};
        /// RabbitMQ: takes a binding of an exchange away.
        Unbind = 40, "exchange.unbind", reserved(u16), {
            /// Where messages went.
            destination: ShortString,
            /// Where they came from.
            source: ShortString,
            /// The binding's key.
            routing_key: ShortString,
            /// No answer is wanted.
            no_wait: bool,
            /// The binding's arguments.
            arguments: Table,
        };
        /// RabbitMQ: the binding is gone. Its number is 51, not 41.
        UnbindOk = 51, "exchange.unbind-ok", {};
    }

    /// Queues: where messages wait.
    queue(Queue) = 50 {
        /// Creates a queue, or checks that it is there.
        Declare = 10, "queue.declare", reserved(u16), {
            /// Its name; empty for one that the server makes.
            queue: ShortString,
            /// Only check that it is there.
            passive: bool,
            /// It survives a restart.
            durable: bool,
            /// It belongs to this connection alone and goes with it.
            exclusive: bool,
            /// It goes with its last consumer.
            auto_delete: bool,
            /// No answer is wanted.
            no_wait: bool,
            /// Further settings.
            arguments: Table,
        };
        /// The queue is there.
        DeclareOk = 11, "queue.declare-ok", {
            /// Its name.
            queue: ShortString,
            /// Ready messages.
            message_count: u32,
            /// Consumers.
            consumer_count: u32,
        };
        /// Binds a queue to an exchange.
        Bind = 20, "queue.bind", reserved(u16), {
            /// The queue; empty for the one declared last.
            queue: ShortString,
            /// The exchange.
            exchange: ShortString,
            /// What is matched with a message's routing key.
            routing_key: ShortString,
            /// No answer is wanted.
            no_wait: bool,
            /// Further conditions.
            arguments: Table,
        };
        /// The binding is there.
        BindOk = 21, "queue.bind-ok", {};
        /// Drops a queue's ready messages.
        Purge = 30, "queue.purge", reserved(u16), {
            /// The queue; empty for the one declared last.
            queue: ShortString,
            /// No answer is wanted.
            no_wait: bool,
        };
        /// The messages are gone.
        PurgeOk = 31, "queue.purge-ok", {
            /// How many there were.
            message_count: u32,
        };
        /// Deletes a queue.
        Delete = 40, "queue.delete", reserved(u16), {
            /// The queue; empty for the one declared last.
            queue: ShortString,
            /// Only without consumers.
            if_unused: bool,
            /// Only without ready messages.
            if_empty: bool,
            /// No answer is wanted.
            no_wait: bool,
        };
        /// The queue is gone.
        DeleteOk = 41, "queue.delete-ok", {
            /// How many ready messages went with it.
            message_count: u32,
        };
        /// Takes a binding of a queue away. Always answered.
        Unbind = 50, "queue.unbind", reserved(u16), {
            /// The queue; empty for the one declared last.
            queue: ShortString,
            /// The exchange.
            exchange: ShortString,
            /// The binding's key.
            routing_key: ShortString,
            /// The binding's arguments.
            arguments: Table,
        };
        /// The binding is gone.
        UnbindOk = 51, "queue.unbind-ok", {};
    }

    /// Messages: publishing, consuming, settling.
    basic(Basic) = 60 {
        /// Limits how many deliveries may be unsettled.
        Qos = 10, "basic.qos", {
            /// In bytes; only 0 is supported by RabbitMQ.
            prefetch_size: u32,
            /// In messages; 0 for no limit.
            prefetch_count: u16,
            /// RabbitMQ: shared by the channel instead of per consumer.
            global: bool,
        };
        /// The limit holds.
        QosOk = 11, "basic.qos-ok", {};
        /// Starts a consumer.
        Consume = 20, "basic.consume", reserved(u16), {
            /// The queue; empty for the one declared last.
            queue: ShortString,
            /// The consumer's name on this channel; empty for one that the server makes.
            consumer_tag: ShortString,
            /// Not those published on this connection. Ignored by RabbitMQ.
            no_local: bool,
            /// Deliveries count as acknowledged when sent.
            no_ack: bool,
            /// No other consumer on the queue.
            exclusive: bool,
            /// No answer is wanted.
            no_wait: bool,
            /// Further settings.
            arguments: Table,
        };
        /// The consumer is started.
        ConsumeOk = 21, "basic.consume-ok", {
            /// Its name.
            consumer_tag: ShortString,
        };
        /// Ends a consumer. RabbitMQ also sends it to clients whose queue has gone.
        Cancel = 30, "basic.cancel", {
            /// Its name.
            consumer_tag: ShortString,
            /// No answer is wanted.
            no_wait: bool,
        };
        /// The consumer has ended.
        CancelOk = 31, "basic.cancel-ok", {
            /// Its name.
            consumer_tag: ShortString,
        };
        /// Publishes the message that follows.
        Publish = 40, "basic.publish" content, reserved(u16), {
            /// The exchange; empty for the default one.
            exchange: ShortString,
            /// The routing key.
            routing_key: ShortString,
            /// Return the message if it meets no queue.
            mandatory: bool,
            /// Return the message if it meets no ready consumer. Refused by RabbitMQ.
            immediate: bool,
        };
        /// Gives back the message that follows.
        Return = 50, "basic.return" content, {
            /// Why, as a number.
            reply_code: u16,
            /// Why, as text.
            reply_text: ShortString,
            /// The exchange that it was published to.
            exchange: ShortString,
            /// Its routing key.
            routing_key: ShortString,
        };
        /// Delivers the message that follows to a consumer.
        Deliver = 60, "basic.deliver" content, {
            /// The consumer.
            consumer_tag: ShortString,
            /// The delivery's number on the channel.
            delivery_tag: u64,
            /// It may have been delivered before.
            redelivered: bool,
            /// The exchange that it was published to.
            exchange: ShortString,
            /// Its routing key.
            routing_key: ShortString,
        };
        /// Asks for one message.
        Get = 70, "basic.get", reserved(u16), {
            /// The queue; empty for the one declared last.
            queue: ShortString,
            /// The delivery counts as acknowledged when sent.
            no_ack: bool,
        };
        /// Delivers the message that follows to who asked.
        GetOk = 71, "basic.get-ok" content, {
            /// The delivery's number on the channel.
            delivery_tag: u64,
            /// It may have been delivered before.
            redelivered: bool,
            /// The exchange that it was published to.
            exchange: ShortString,
            /// Its routing key.
            routing_key: ShortString,
            /// Ready messages left in the queue.
            message_count: u32,
        };
        /// The queue has no ready message.
        GetEmpty = 72, "basic.get-empty", {}, reserved(ShortString);
        /// Settles deliveries; from the server, confirms publishes.
        Ack = 80, "basic.ack", {
            /// The number; with `multiple`, 0 means all.
            delivery_tag: u64,
            /// Also all earlier ones.
            multiple: bool,
        };
        /// Refuses a delivery.
        Reject = 90, "basic.reject", {
            /// The number.
            delivery_tag: u64,
            /// Back to the queue, instead of dropped or dead-lettered.
            requeue: bool,
        };
        /// Requeues all unsettled deliveries of the channel; never answered.
        RecoverAsync = 100, "basic.recover-async", {
            /// Whether another consumer may get them.
            requeue: bool,
        };
        /// Requeues all unsettled deliveries of the channel.
        Recover = 110, "basic.recover", {
            /// Whether another consumer may get them.
            requeue: bool,
        };
        /// The deliveries are requeued.
        RecoverOk = 111, "basic.recover-ok", {};
        /// RabbitMQ: refuses deliveries; from the server, refuses publishes.
        Nack = 120, "basic.nack", {
            /// The number; with `multiple`, 0 means all.
            delivery_tag: u64,
            /// Also all earlier ones.
            multiple: bool,
            /// Back to the queue, instead of dropped or dead-lettered.
            requeue: bool,
        };
    }

    /// RabbitMQ: confirms of publishes.
    confirm(Confirm) = 85 {
        /// From now on each publish of the channel is confirmed.
        Select = 10, "confirm.select", {
            /// No answer is wanted.
            no_wait: bool,
        };
        /// Confirms are on.
        SelectOk = 11, "confirm.select-ok", {};
    }

    /// Transactions.
    tx(Tx) = 90 {
        /// From now on the channel works in transactions.
        Select = 10, "tx.select", {};
        /// Transactions are on.
        SelectOk = 11, "tx.select-ok", {};
        /// Makes what was done since the last commit true.
        Commit = 20, "tx.commit", {};
        /// It is true.
        CommitOk = 21, "tx.commit-ok", {};
        /// Drops what was done since the last commit.
        Rollback = 30, "tx.rollback", {};
        /// It is dropped.
        RollbackOk = 31, "tx.rollback-ok", {};
    }
}

impl Method {
    /// The numbers on the wire and in a close.
    pub fn id(&self) -> MethodId {
        self.spec().id
    }

    /// `class.method`: `basic.publish`.
    pub fn name(&self) -> &'static str {
        self.spec().name
    }

    /// Whether a content header and a body follow.
    pub fn carries_content(&self) -> bool {
        self.spec().carries_content
    }

    /// Appends a whole method frame.
    pub fn encode_frame(&self, out: &mut Vec<u8>, channel: u16) {
        encode_frame(out, FrameKind::Method, channel, |out| self.encode(out));
    }
}

/// The id at the front of a method frame's payload, and the arguments.
fn split_id(payload: &[u8]) -> Result<(MethodId, &[u8]), MethodError> {
    let Some(([a, b, c, d], input)) = payload.split_first_chunk() else {
        return Err(MethodError::NoId { payload_bytes: payload.len() });
    };
    Ok((MethodId { class_id: u16::from_be_bytes([*a, *b]), method_id: u16::from_be_bytes([*c, *d]) }, input))
}

/// Reads arguments to the last byte.
fn read_all<M: MethodArguments>(input: &[u8]) -> Result<M, MethodError> {
    let mut reader = ArgumentReader::new(input);
    M::read(&mut reader)
        .and_then(|method| reader.finish().map(|()| method))
        .map_err(|reason| MethodError::Malformed { id: M::SPEC.id, name: M::SPEC.name, reason })
}

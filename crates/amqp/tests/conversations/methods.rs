//! What each method asks of the broker, and how the answers look.

use amqp::ReplyCode;
use amqp_wire::{Method, ShortString, Table, Value, access, basic, channel, confirm, exchange, queue, tx};
use broker::{Answer, Operation, RequestTag};

use crate::support::{Conversation, name};

/// Sends `method`, looks at what is asked, answers, and looks at what the client reads.
fn check(
    method: impl Into<Method>,
    is_right: impl Fn(&Operation) -> bool,
    answer: Answer,
    reads: impl Into<Method>,
) {
    let mut talk = Conversation::with_channel();
    talk.send(1, method);
    let (tag, operation) = talk.asked(1);
    assert!(is_right(&operation), "{operation:?}");
    talk.answer(1, tag, answer);
    talk.expect(1, reads);
}

fn arguments() -> Table {
    [(name("x-max-length"), Value::I32(5))].into_iter().collect()
}

fn declare(queue: &str) -> queue::Declare {
    queue::Declare { queue: name(queue), ..Default::default() }
}

#[test]
fn exchanges() {
    check(
        exchange::Declare {
            exchange: name("x"),
            kind: name("topic"),
            durable: true,
            arguments: arguments(),
            ..Default::default()
        },
        |operation| {
            matches!(operation, Operation::DeclareExchange(declare)
                if declare.name == "x" && declare.kind == "topic" && declare.durable && !declare.passive
                    && declare.arguments == arguments())
        },
        Answer::ExchangeDeclared,
        exchange::DeclareOk {},
    );
    check(
        exchange::Delete { exchange: name("x"), if_unused: true, no_wait: false },
        |operation| matches!(operation, Operation::DeleteExchange { name, if_unused: true } if name == "x"),
        Answer::ExchangeDeleted,
        exchange::DeleteOk {},
    );
    let (destination, source, routing_key) = (name("to"), name("from"), name("key"));
    check(
        exchange::Bind {
            destination: destination.clone(),
            source: source.clone(),
            routing_key: routing_key.clone(),
            no_wait: false,
            arguments: arguments(),
        },
        |operation| {
            matches!(operation, Operation::BindExchange(binding)
                if binding.source == "from" && binding.destination == "to" && binding.routing_key == "key")
        },
        Answer::ExchangeBound,
        exchange::BindOk {},
    );
    check(
        exchange::Unbind { destination, source, routing_key, no_wait: false, arguments: arguments() },
        |operation| matches!(operation, Operation::UnbindExchange(binding) if binding.arguments == arguments()),
        Answer::ExchangeUnbound,
        exchange::UnbindOk {},
    );
}

#[test]
fn queues() {
    check(
        queue::Declare { durable: true, exclusive: true, arguments: arguments(), ..declare("q") },
        |operation| {
            matches!(operation, Operation::DeclareQueue(declare)
                if declare.name == "q" && declare.durable && declare.exclusive && !declare.auto_delete
                    && !declare.generated && declare.arguments == arguments())
        },
        Answer::QueueDeclared { name: name("q"), messages: 1 << 40, consumers: 2 },
        queue::DeclareOk { queue: name("q"), message_count: u32::MAX, consumer_count: 2 },
    );
    check(
        queue::Purge { queue: name("q"), no_wait: false },
        |operation| matches!(operation, Operation::PurgeQueue { name } if name == "q"),
        Answer::QueuePurged { messages: 5 },
        queue::PurgeOk { message_count: 5 },
    );
    check(
        queue::Delete { queue: name("q"), if_unused: true, if_empty: false, no_wait: false },
        |operation| matches!(operation, Operation::DeleteQueue { name, if_unused: true, if_empty: false } if name == "q"),
        Answer::QueueDeleted { messages: 5 },
        queue::DeleteOk { message_count: 5 },
    );
    check(
        queue::Unbind { queue: name("q"), exchange: name("x"), ..Default::default() },
        |operation| {
            matches!(operation, Operation::UnbindQueue(binding)
                if binding.destination == "q" && binding.source == "x" && binding.routing_key.is_empty())
        },
        Answer::QueueUnbound,
        queue::UnbindOk {},
    );
}

#[test]
fn settings_of_the_channel() {
    check(
        basic::Qos { prefetch_size: 0, prefetch_count: 10, global: true },
        |operation| matches!(operation, Operation::SetPrefetch { count: 10, shared: true }),
        Answer::PrefetchSet,
        basic::QosOk {},
    );
    check(
        confirm::Select { no_wait: false },
        |operation| matches!(operation, Operation::SelectConfirm),
        Answer::ConfirmSelected,
        confirm::SelectOk {},
    );
    check(
        tx::Select {},
        |operation| matches!(operation, Operation::SelectTransaction),
        Answer::TransactionSelected,
        tx::SelectOk {},
    );
    check(
        tx::Commit {},
        |operation| matches!(operation, Operation::Commit),
        Answer::Committed,
        tx::CommitOk {},
    );
    check(
        tx::Rollback {},
        |operation| matches!(operation, Operation::Rollback),
        Answer::RolledBack,
        tx::RollbackOk {},
    );
    check(
        basic::Recover { requeue: true },
        |operation| matches!(operation, Operation::Recover),
        Answer::Recovered,
        basic::RecoverOk {},
    );
}

#[test]
fn recover_async_is_never_answered() {
    let mut talk = Conversation::with_channel();
    talk.send(1, basic::RecoverAsync { requeue: true });
    let (tag, operation) = talk.asked(1);
    assert!(matches!(operation, Operation::Recover));
    talk.answer(1, tag, Answer::Recovered);
    assert_eq!(talk.reads(), []);
}

#[test]
fn line_ends_are_taken_out_of_names() {
    let mut talk = Conversation::with_channel();
    talk.send(1, declare("a\r\nb"));
    let (_, Operation::DeclareQueue(declare)) = talk.asked(1) else { panic!() };
    assert_eq!(declare.name, "ab");
    talk.send(1, exchange::Delete { exchange: name("x\n"), ..Default::default() });
    assert!(matches!(talk.asked(1).1, Operation::DeleteExchange { name, .. } if name == "x"));
    talk.send(1, queue::Bind { queue: name("q\n"), exchange: name("\rx"), ..Default::default() });
    let (_, Operation::BindQueue(binding)) = talk.asked(1) else { panic!() };
    assert_eq!((binding.destination, binding.source), (name("q"), name("x")));
}

#[test]
fn an_empty_queue_name_asks_for_a_generated_one() {
    let mut talk = Conversation::with_channel();
    talk.send(1, declare(""));
    let (_, Operation::DeclareQueue(declare)) = talk.asked(1) else { panic!() };
    assert!(declare.generated);
    assert!(declare.name.starts_with(b"amq.gen-") && declare.name.len() == 30, "{}", declare.name);
}

#[test]
fn an_empty_queue_name_means_the_queue_declared_last() {
    let mut talk = Conversation::with_channel();
    talk.send(1, queue::Declare { no_wait: true, passive: true, ..declare("last") });
    talk.asked(1);

    talk.send(1, queue::Bind { exchange: name("x"), ..Default::default() });
    let (_, Operation::BindQueue(binding)) = talk.asked(1) else { panic!() };
    assert_eq!((binding.destination, binding.routing_key), (name("last"), name("last")));

    talk.send(1, queue::Bind { exchange: name("x"), routing_key: name("k"), ..Default::default() });
    let (_, Operation::BindQueue(binding)) = talk.asked(1) else { panic!() };
    assert_eq!((binding.destination, binding.routing_key), (name("last"), name("k")));

    talk.send(1, queue::Bind { queue: name("q"), exchange: name("x"), ..Default::default() });
    let (_, Operation::BindQueue(binding)) = talk.asked(1) else { panic!() };
    assert_eq!((binding.destination, binding.routing_key), (name("q"), ShortString::default()));

    talk.send(1, basic::Get::default());
    assert!(matches!(talk.asked(1).1, Operation::Get { queue, no_ack: false } if queue == "last"));
    talk.send(1, basic::Consume::default());
    assert!(matches!(talk.asked(1).1, Operation::Consume(consume) if consume.queue == "last"));
    talk.send(1, queue::Purge::default());
    assert!(matches!(talk.asked(1).1, Operation::PurgeQueue { name } if name == "last"));
    talk.send(1, queue::Delete::default());
    assert!(matches!(talk.asked(1).1, Operation::DeleteQueue { name, .. } if name == "last"));
}

#[test]
fn an_empty_queue_name_before_any_declaration_is_refused() {
    let methods: [(Method, (u16, u16)); 6] = [
        (queue::Bind::default().into(), (50, 20)),
        (queue::Purge::default().into(), (50, 30)),
        (queue::Delete::default().into(), (50, 40)),
        (queue::Unbind::default().into(), (50, 50)),
        (basic::Consume::default().into(), (60, 20)),
        (basic::Get::default().into(), (60, 70)),
    ];
    for (method, ids) in methods {
        let mut talk = Conversation::with_channel();
        talk.send(1, method);
        talk.expect_own_refusal(1);
        talk.expect_channel_close(1, ReplyCode::NotFound, "NOT_FOUND - no previously declared queue", ids);
    }
}

#[test]
fn old_clients_get_their_ticket() {
    let mut talk = Conversation::with_channel();
    talk.send(1, access::Request { realm: name("/data"), ..Default::default() });
    answer_echo(&mut talk);
    talk.expect(1, access::RequestOk { ticket: 1 });
}

#[test]
fn flow_can_only_be_switched_on() {
    let mut talk = Conversation::with_channel();
    talk.send(1, channel::Flow { active: true });
    answer_echo(&mut talk);
    talk.expect(1, channel::FlowOk { active: true });
    check_not_implemented(channel::Flow { active: false }, "active=false", (20, 20));
}

/// Even what needs no broker goes through it: an answer on the spot would overtake those of earlier methods.
fn answer_echo(talk: &mut Conversation) {
    assert!(talk.reads().is_empty(), "answered out of turn");
    let (tag, operation) = talk.asked(1);
    assert!(matches!(operation, Operation::Echo), "{operation:?}");
    talk.answer(1, tag, Answer::Echoed);
}

/// Sends what nobody implements: the connection ends.
fn check_not_implemented(method: impl Into<Method>, explanation: &str, ids: (u16, u16)) {
    let mut talk = Conversation::with_channel();
    talk.send(1, method);
    talk.expect_own_refusal(1);
    talk.expect_connection_close(ReplyCode::NotImplemented, &format!("NOT_IMPLEMENTED - {explanation}"), ids);
}

#[test]
fn what_rabbitmq_does_not_implement_ends_the_connection() {
    let qos = basic::Qos { prefetch_size: 9, ..Default::default() };
    check_not_implemented(qos, "prefetch_size!=0 (9)", (60, 10));
    check_not_implemented(basic::Recover { requeue: false }, "requeue=false", (60, 110));
    check_not_implemented(basic::RecoverAsync { requeue: false }, "requeue=false", (60, 100));
}

#[test]
fn methods_that_only_servers_send_end_the_connection() {
    let methods: [(Method, (u16, u16)); 4] = [
        (queue::DeclareOk::default().into(), (50, 11)),
        (basic::GetEmpty {}.into(), (60, 72)),
        (amqp_wire::connection::Blocked::default().into(), (10, 60)),
        (tx::SelectOk {}.into(), (90, 11)),
    ];
    for (method, ids) in methods {
        let mut talk = Conversation::with_channel();
        talk.send(1, method);
        talk.expect_own_refusal(1);
        talk.expect_connection_close(
            ReplyCode::CommandInvalid,
            "COMMAND_INVALID - unimplemented method",
            ids,
        );
    }
}

#[test]
fn an_answer_out_of_the_blue_says_which_it_is() {
    let mut talk = Conversation::with_channel();
    talk.answer(1, RequestTag(0), Answer::GetEmpty);
    talk.expect(1, basic::GetEmpty {});
}

//! Requests that stand alone.

use crate::broker::{Broker, Reply, Request};
use crate::command::Publish;
use crate::effect::{Answer, Effect, Recipient};
use crate::operations::queue::Wording;
use crate::output::Output;
use crate::standalone::Standalone;
use crate::task::QueueReport;
use crate::{Lsn, Refusal};

impl Broker {
    pub(crate) fn handle_standalone(&mut self, request: Request, operation: Standalone, out: &mut Output) {
        if self.connections.get(&request.session.connection).is_none() {
            return;
        }
        match self.operate_standalone(request, operation, out) {
            Ok(Some(answer)) => self.answer(request, answer, out),
            Ok(None) => {}
            Err(refusal) => {
                // What it rests on may be as new as anything.
                let effect = Effect::Refused { request: request.tag, refusal: Box::new(refusal) };
                out.effect(Recipient::Session(request.session), out.position(), effect);
            }
        }
    }

    fn operate_standalone(&mut self, request: Request, operation: Standalone, out: &mut Output) -> Reply {
        match operation {
            Standalone::DeclareQueue(declare) => self.declare_queue(request, declare, Wording::Whole, out),
            Standalone::DeleteQueue { name, if_unused, if_empty } => {
                self.usable_queue(request, &name)?;
                self.delete_queue(request, name, if_unused, if_empty, out)
            }
            Standalone::DescribeQueue { name } => {
                let number = self.usable_queue(request, &name)?;
                Ok(Some(Answer::Queue(Box::new(self.report(number)))))
            }
            Standalone::Publish(publish) => self.publish_alone(request, &publish, out),
            Standalone::Enqueue(enqueue) => self.enqueue(request, enqueue, out),
            Standalone::Watch { task, until, with_result } => {
                self.watch(request, task, until, with_result, out)
            }
            Standalone::StopWatching { watch } => {
                self.stop_watching(request, watch);
                Ok(None)
            }
            Standalone::Cancel { task } => self.cancel_task(request, task, out),
            Standalone::Lease(lease) => self.lease(request, lease, out),
            Standalone::StopLeasing { waiting } => {
                self.stop_leasing(request, waiting, out);
                Ok(None)
            }
            Standalone::Extend { lease, lease_ms, progress } => {
                self.extend_lease(request, lease, lease_ms, progress, out)
            }
            Standalone::Complete(complete) => self.complete(request, complete, out),
            Standalone::Fail(fail) => self.fail(request, fail, out),
            Standalone::Release { lease, delay_ms } => self.release(request, lease, delay_ms, out),
        }
    }

    fn publish_alone(&mut self, request: Request, publish: &Publish, out: &mut Output) -> Reply {
        self.check_exchange(publish.envelope.exchange())?;
        let before = self.counters.routed;
        // Whoever asks is told by the answer, not by the message coming back.
        let quiet = Publish { mandatory: false, ..publish.clone() };
        let accepted = self.accept(request.now, request.session, &quiet, out)?;
        let name = |bytes: &[u8]| bytes.try_into().unwrap_or_default();
        if let Some(refusal) = accepted.refusal {
            return Err(*refusal);
        }
        let queues = self.counters.routed - before;
        if publish.mandatory && queues == 0 && accepted.safe_after == Lsn::NONE {
            let (exchange, routing_key) = (publish.envelope.exchange(), publish.envelope.routing_key());
            return Err(Refusal::Unroutable { exchange: name(exchange), routing_key: name(routing_key) });
        }
        Ok(Some(Answer::Published { queues }))
    }

    fn report(&self, number: crate::QueueNumber) -> QueueReport {
        let queue = &self.queues[&number];
        let (ready, held) = (queue.strand.ready().messages, queue.strand.held().messages);
        let mut report = QueueReport {
            name: queue.definition.name.clone(),
            durable: queue.is_durable(),
            is_task_queue: queue.tasks.is_some(),
            max_length: None,
            ready,
            running: held,
            scheduled: 0,
            failed: 0,
            consumers: queue.consumers.len() as u64,
            drain_ms: None,
        };
        if let Some(tasks) = &queue.tasks {
            report.max_length = tasks.max_length;
            report.running = tasks.counts.running;
            report.scheduled = tasks.counts.scheduled;
            report.failed = tasks.counts.failed;
            report.consumers += tasks.pulls.len() as u64;
            report.drain_ms = tasks.pace.time_for_ms(tasks.counts.unfinished);
        }
        report
    }
}

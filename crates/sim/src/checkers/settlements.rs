//! P4: who settles a lease is told what became of it, and who settles with an old one changes nothing and is told so.

use std::collections::BTreeMap;

use broker::{
    Answer, Command, Effect, Envelope, LeaseId, Refusal, RequestTag, Settlement, SettlementKind, Standalone,
};

use crate::line::LineId;
use crate::model::JournaledTasks;
use crate::violation::Violation;

/// Requests of the holders of leases that are not answered.
#[derive(Debug, Default)]
pub(super) struct Settlements {
    /// The lease, and how it is to be settled; none for who wants to keep it.
    asked: BTreeMap<(LineId, RequestTag), (LeaseId, Option<SettlementKind>)>,
}

impl Settlements {
    pub(super) fn told(&mut self, line: LineId, command: &Command) {
        let Command::Standalone { request, operation, .. } = command else { return };
        let (lease, kind) = match &**operation {
            Standalone::Complete(complete) => (complete.lease, Some(SettlementKind::Complete)),
            Standalone::Fail(fail) => (fail.lease, Some(SettlementKind::Fail)),
            Standalone::Release { lease, .. } => (*lease, Some(SettlementKind::Release)),
            Standalone::Extend { lease, .. } => (*lease, None),
            _ => return,
        };
        self.asked.insert((line, *request), (lease, kind));
    }

    pub(super) fn said(
        &mut self,
        line: LineId,
        effect: &Effect<Envelope>,
        tasks: &JournaledTasks,
    ) -> Result<(), Violation> {
        let mut asked = |request: &RequestTag| self.asked.remove(&(line, *request));
        match effect {
            Effect::Answered { request, answer: Answer::Settled(settlement) } => {
                let Some((lease, Some(kind))) = asked(request) else { return Ok(()) };
                check_settled(lease, kind, settlement, tasks)
            }
            Effect::Answered { request, answer: Answer::LeaseExtended { cancelled, .. } } => {
                let Some((lease, _)) = asked(request) else { return Ok(()) };
                let task = tasks.lease(lease).and_then(|lease| tasks.task(lease.task));
                if *cancelled && task.is_some_and(|task| task.end.is_none()) {
                    return Err(broken(format!("{task:?} was told cancelled to who extends {lease}")));
                }
                Ok(())
            }
            Effect::Refused { request, refusal } => {
                let Some((lease, kind)) = asked(request) else { return Ok(()) };
                check_refused(lease, kind, refusal, tasks)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn process_ended(&mut self) {
        self.asked.clear();
    }
}

fn check_settled(
    lease: LeaseId,
    kind: SettlementKind,
    told: &Settlement,
    tasks: &JournaledTasks,
) -> Result<(), Violation> {
    if tasks.is_gone(told.task) {
        return Ok(());
    }
    let known = tasks.lease(lease);
    let written = known.and_then(|lease| lease.settled);
    let is_right = known.is_some_and(|lease| lease.task == told.task)
        && written.is_some_and(|by| (by.kind, by.state, by.due_at) == (kind, told.state, told.due_at));
    match is_right {
        true => Ok(()),
        false => {
            Err(broken(format!("{told:?} was told to who settles {lease} by {kind:?}, not {written:?}")))
        }
    }
}

fn check_refused(
    lease: LeaseId,
    kind: Option<SettlementKind>,
    refusal: &Refusal,
    tasks: &JournaledTasks,
) -> Result<(), Violation> {
    let Some(known) = tasks.lease(lease) else { return Ok(()) };
    let holds = tasks.task(known.task).is_some_and(|task| task.hold == Some(lease));
    let written = known.settled.map(|by| by.kind);
    let is_wrong = match refusal {
        Refusal::LeaseLost { .. } => holds,
        Refusal::LeaseSettled { .. } => written.is_none() || written == kind,
        _ => false,
    };
    match is_wrong {
        true => {
            Err(broken(format!("{lease} was refused by {refusal:?}: holds {holds}, settled by {written:?}")))
        }
        false => Ok(()),
    }
}

fn broken(what: String) -> Violation {
    Violation::new("P4", what)
}

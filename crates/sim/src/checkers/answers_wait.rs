//! P1: nothing leaves before the entries that it rests on are durable.

use std::collections::{BTreeMap, VecDeque};

use broker::{
    Answer, Command, Effect, Envelope, Lsn, Operation, Record, Refusal, RequestTag, TaskId, TaskView,
};

use crate::line::LineId;
use crate::messages::{MessageId, number};
use crate::model::JournaledTasks;
use crate::node::Tap;
use crate::violation::Violation;

/// What was asked on each channel, and where each message was written.
#[derive(Debug, Default)]
pub(super) struct AnswersWait {
    /// The lives of each channel: the first is the one that is spoken of, the last the one that is spoken to.
    sessions: BTreeMap<(LineId, u16), VecDeque<Session>>,
    /// The entry of each message; of one that was written several times, the first.
    places: BTreeMap<MessageId, u64>,
    /// Entries that were looked through for messages.
    read: u64,
    /// For each request that stands alone: the journal's last entry when it was asked.
    requests: BTreeMap<(LineId, RequestTag), u64>,
}

#[derive(Debug, Default)]
struct Session {
    is_opened: bool,
    /// For each request that is answered once: the journal's last entry when it was asked.
    asked: VecDeque<u64>,
    confirms: bool,
    /// Messages in the order of their publishes, since confirms were selected.
    published: Vec<Option<MessageId>>,
    confirmed: usize,
}

impl AnswersWait {
    pub(super) fn told(&mut self, line: LineId, command: &Command, tap: &Tap) {
        let (session, operation) = match command {
            Command::Session { session, operation, .. } => (session, operation),
            Command::Standalone { request, .. } => {
                self.requests.insert((line, *request), tap.appended());
                return;
            }
            Command::Disconnect { .. } => {
                self.requests.retain(|(other, _), _| *other != line);
                return self.sessions.retain(|(other, _), _| *other != line);
            }
            _ => return,
        };
        let lives = self.sessions.entry((line, session.channel)).or_default();
        if lives.is_empty() || matches!(operation, Operation::OpenSession) {
            lives.push_back(Session::default());
        }
        let Some(known) = lives.back_mut() else { return };
        match operation {
            Operation::SelectConfirm => known.confirms = true,
            Operation::Publish(publish) => {
                if known.confirms {
                    known.published.push(number(publish.envelope.body()));
                }
                return;
            }
            Operation::Settle { .. } | Operation::Refuse(_) | Operation::RefusePublish { .. } => return,
            _ => {}
        }
        known.asked.push_back(tap.appended());
    }

    pub(super) fn said(
        &mut self,
        line: LineId,
        channel: u16,
        effect: &Effect<Envelope>,
        tasks: &JournaledTasks,
        tap: &Tap,
    ) -> Result<(), Violation> {
        self.read_entries(tap);
        self.check_tasks(line, effect, tasks, tap)?;
        match effect {
            Effect::Answered { answer, .. } => {
                if matches!(answer, Answer::SessionOpened) {
                    self.begin_life(line, channel);
                }
                let asked = self.next_asked(line, channel);
                let rests_on_nothing = matches!(answer, Answer::GetEmpty | Answer::Echoed);
                if rests_on_nothing { Ok(()) } else { check(asked, tap, || format!("{answer:?}")) }
            }
            Effect::Refused { refusal, .. } => {
                let asked = self.next_asked(line, channel);
                // Nothing more is answered but the close.
                self.spoken_of(line, channel).into_iter().for_each(|session| session.asked.clear());
                let rests_on_state = matches!(**refusal, Refusal::Inequivalent { .. });
                let asked = asked.filter(|_| rests_on_state);
                check(asked, tap, || format!("the refusal {refusal:?}"))
            }
            Effect::Got { message, .. } => {
                self.next_asked(line, channel);
                self.check_message(message, tap)
            }
            Effect::Deliver { message, .. } | Effect::Leased { message, .. } => {
                self.check_message(message, tap)
            }
            // Not taken this time; it may be later.
            Effect::Rejected { sequence } => {
                let session = self.spoken_of(line, channel);
                let publish = session.and_then(|session| session.published.get_mut(*sequence as usize - 1));
                publish.into_iter().for_each(|publish| *publish = None);
                Ok(())
            }
            Effect::Confirmed { up_to } => self.check_confirmed(line, channel, *up_to as usize, tap),
            _ => Ok(()),
        }
    }

    pub(super) fn process_ended(&mut self) {
        self.sessions.clear();
        self.places.clear();
        self.requests.clear();
        self.read = 0;
    }

    /// What is told of tasks rests on what was asked before, and on the entries that make it so.
    fn check_tasks(
        &self,
        line: LineId,
        effect: &Effect<Envelope>,
        tasks: &JournaledTasks,
        tap: &Tap,
    ) -> Result<(), Violation> {
        let end_of = |view: &TaskView| {
            let task = tasks.task(view.id).filter(|_| view.state.is_final())?;
            Some(task.end.as_ref().map_or(u64::MAX, |end| end.entry))
        };
        let accepted = |id: TaskId| tasks.task(id).map(|task| task.accepted_at);
        let (request, rests_on) = match effect {
            Effect::Answered { request, answer } => {
                let rests_on = match answer {
                    Answer::Enqueued { tasks, .. } => tasks.iter().filter_map(|view| accepted(view.id)).max(),
                    Answer::Cancelled(view) => end_of(view),
                    _ => None,
                };
                (request, rests_on)
            }
            Effect::Task { request, view, .. } => (request, end_of(view).max(accepted(view.id))),
            // What has a number and needs no queue is the result of a task.
            Effect::Replied { envelope: reply, .. } | Effect::RepliedAgain { message: reply, .. } => {
                let result = number(reply.body()).map(|id| tasks.result(id));
                let written = result.map(|result| result.map_or(u64::MAX, |(entry, _)| entry));
                return check(written, tap, || format!("the reply {:?}", number(reply.body())));
            }
            Effect::Leased { request, grant, .. } => {
                let given = tasks.lease(grant.lease).map_or(u64::MAX, |lease| lease.entry);
                (request, Some(given))
            }
            _ => return Ok(()),
        };
        let Some(asked) = self.requests.get(&(line, *request)).copied() else { return Ok(()) };
        check(Some(asked).max(rests_on), tap, || format!("{effect:?}"))
    }

    fn spoken_of(&mut self, line: LineId, channel: u16) -> Option<&mut Session> {
        self.sessions.get_mut(&(line, channel))?.front_mut()
    }

    fn next_asked(&mut self, line: LineId, channel: u16) -> Option<u64> {
        self.spoken_of(line, channel)?.asked.pop_front()
    }

    fn begin_life(&mut self, line: LineId, channel: u16) {
        let Some(lives) = self.sessions.get_mut(&(line, channel)) else { return };
        if lives.len() > 1 && lives[0].is_opened {
            lives.pop_front();
        }
        lives[0].is_opened = true;
    }

    fn check_message(&self, message: &Envelope, tap: &Tap) -> Result<(), Violation> {
        let place = number(message.body()).and_then(|id| self.places.get(&id).copied());
        check(place, tap, || format!("the delivery of {:?}", number(message.body())))
    }

    fn check_confirmed(
        &mut self,
        line: LineId,
        channel: u16,
        up_to: usize,
        tap: &Tap,
    ) -> Result<(), Violation> {
        let Some(session) = self.spoken_of(line, channel) else { return Ok(()) };
        let Some(confirmed) = session.published.get(session.confirmed..up_to) else {
            return Err(Violation::new("P10", format!("publish {up_to} is confirmed, and there are fewer")));
        };
        let confirmed: Vec<MessageId> = confirmed.iter().flatten().copied().collect();
        session.confirmed = up_to;
        for id in &confirmed {
            check(self.places.get(id).copied(), tap, || format!("the confirm of {id:?}"))?;
        }
        Ok(())
    }

    /// Notes in which entries messages were written.
    fn read_entries(&mut self, tap: &Tap) {
        while let Some(entry) = tap.entry(self.read + 1) {
            self.read += 1;
            for record in Record::read_entry(Lsn(self.read), entry).flatten() {
                if let Record::Published { envelope, .. } = record
                    && let Some(id) = number(envelope.body())
                {
                    self.places.entry(id).or_insert(self.read);
                }
            }
        }
    }
}

fn check(rests_on: Option<u64>, tap: &Tap, what: impl Fn() -> String) -> Result<(), Violation> {
    match rests_on {
        Some(entry) if entry > tap.told_durable() => {
            let durable = tap.told_durable();
            let what = format!("{} left at entry {durable}, but rests on entry {entry}", what());
            Err(Violation::new("P1", what))
        }
        _ => Ok(()),
    }
}

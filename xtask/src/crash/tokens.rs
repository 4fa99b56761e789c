//! Where the tokens are: each exactly once in all queues together, and where the last commit put it (P6).

use std::collections::HashMap;

use super::breach::{Breach, must};

/// One token on its way from a queue to another within a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) token: u32,
    pub(super) from: usize,
    pub(super) to: usize,
}

/// What is known of all tokens. Knows nothing of sockets.
#[derive(Debug)]
pub(super) struct TokenLedger {
    places: Vec<usize>,
    /// Transactions whose commit was sent and not yet answered, by mover.
    in_doubt: HashMap<u64, Vec<Move>>,
}

impl TokenLedger {
    /// So many tokens, all in queue 0.
    pub(super) fn new(count: u32) -> Self {
        Self { places: vec![0; count as usize], in_doubt: HashMap::new() }
    }

    /// How many tokens there are.
    pub(super) fn count(&self) -> u32 {
        self.places.len() as u32
    }

    /// A mover took a token out of a queue.
    pub(super) fn on_taken(&mut self, token: u32, queue: usize) -> Result<(), Breach> {
        let Some(&place) = self.places.get(token as usize) else {
            return Err(Breach(format!("token {token} does not exist")));
        };
        must!(
            place == queue,
            "token {token} came out of queue {queue}; the last commit put it into {place} (P6)"
        );
        // A delivery waits for what it rests on, so whoever sees a token proves the commit that put it there.
        self.in_doubt.retain(|_, moves| moves.iter().all(|one| one.token != token));
        Ok(())
    }

    /// A mover is about to commit. No move may end where it began.
    pub(super) fn on_commit(&mut self, mover: u64, moves: &[Move]) {
        // Others may take a token from where it is going to before the mover reads its commit-ok.
        for one in moves {
            self.places[one.token as usize] = one.to;
        }
        self.in_doubt.insert(mover, moves.to_vec());
    }

    /// The broker answered a commit.
    pub(super) fn on_commit_ok(&mut self, mover: u64) {
        self.in_doubt.remove(&mover);
    }

    /// The broker was started again; `found` are the tokens of each queue.
    pub(super) fn reconcile(&mut self, found: &[Vec<u32>]) -> Result<(), Breach> {
        let places = self.places_of(found)?;
        let in_doubt = std::mem::take(&mut self.in_doubt);
        for moves in in_doubt.values() {
            check_wholly_or_not_at_all(moves, &places)?;
        }
        let doubtful: HashMap<u32, Move> =
            in_doubt.into_values().flatten().map(|one| (one.token, one)).collect();
        for (token, (&place, &expected)) in (0u32..).zip(places.iter().zip(&self.places)) {
            let possible = place == expected || doubtful.get(&token).is_some_and(|one| one.from == place);
            must!(possible, "token {token} is in queue {place}; the last commit put it into {expected} (P6)");
        }
        self.places = places;
        Ok(())
    }

    fn places_of(&self, found: &[Vec<u32>]) -> Result<Vec<usize>, Breach> {
        let mut places = vec![None; self.places.len()];
        for (queue, tokens) in found.iter().enumerate() {
            for &token in tokens {
                let Some(place) = places.get_mut(token as usize) else {
                    return Err(Breach(format!("token {token} in queue {queue} does not exist")));
                };
                if let Some(other) = place.replace(queue) {
                    return Err(Breach(format!(
                        "token {token} is in queue {other} and in queue {queue} (P6)"
                    )));
                }
            }
        }
        let lost: Vec<usize> = (0..places.len()).filter(|&token| places[token].is_none()).collect();
        must!(lost.is_empty(), "{} tokens are in no queue (P6), first {}", lost.len(), lost[0]);
        Ok(places.into_iter().flatten().collect())
    }
}

/// All tokens of one transaction are where it took them from, or all where it put them.
fn check_wholly_or_not_at_all(moves: &[Move], places: &[usize]) -> Result<(), Breach> {
    let (done, undone): (Vec<&Move>, Vec<&Move>) =
        moves.iter().partition(|one| places[one.token as usize] == one.to);
    must!(
        done.is_empty() || undone.is_empty(),
        "a transaction happened in part (P6): tokens {:?} were moved, tokens {:?} were not",
        done.iter().map(|one| one.token).collect::<Vec<_>>(),
        undone.iter().map(|one| one.token).collect::<Vec<_>>()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOVES: [Move; 2] = [Move { token: 0, from: 0, to: 1 }, Move { token: 1, from: 0, to: 1 }];

    fn check(ledger: TokenLedger, found: [&[u32]; 2], breach: Option<&str>) {
        let mut ledger = ledger;
        match (ledger.reconcile(&found.map(<[u32]>::to_vec)), breach) {
            (Ok(()), None) => {}
            (Err(Breach(text)), Some(part)) => assert!(text.contains(part), "{text}"),
            (outcome, _) => panic!("{found:?}: {outcome:?}"),
        }
    }

    fn committed(answered: bool) -> TokenLedger {
        let mut ledger = TokenLedger::new(3);
        ledger.on_commit(7, &MOVES);
        if answered {
            ledger.on_commit_ok(7);
        }
        ledger
    }

    #[test]
    fn a_commit_without_answer_happened_wholly_or_not_at_all() {
        check(committed(false), [&[0, 1, 2], &[]], None);
        check(committed(false), [&[2], &[0, 1]], None);
        check(committed(false), [&[1, 2], &[0]], Some("in part"));
    }

    #[test]
    fn an_answered_commit_stays() {
        check(committed(true), [&[2], &[0, 1]], None);
        check(committed(true), [&[0, 1, 2], &[]], Some("the last commit put it"));
    }

    #[test]
    fn a_token_that_was_seen_proves_its_commit() {
        let mut ledger = committed(false);
        ledger.on_taken(0, 1).unwrap();
        check(ledger, [&[0, 1, 2], &[]], Some("the last commit put it"));
    }

    #[test]
    fn every_token_is_there_once() {
        check(TokenLedger::new(2), [&[0, 1], &[]], None);
        check(TokenLedger::new(2), [&[0], &[]], Some("in no queue"));
        check(TokenLedger::new(2), [&[0, 1], &[1]], Some("and in queue"));
        check(TokenLedger::new(2), [&[0, 1, 2], &[]], Some("does not exist"));
    }

    #[test]
    fn a_token_is_taken_only_from_where_it_is() {
        let mut ledger = committed(true);
        assert!(ledger.on_taken(0, 1).is_ok());
        assert!(ledger.on_taken(0, 0).is_err());
        assert!(ledger.on_taken(99, 0).is_err());
    }
}

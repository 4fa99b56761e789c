//! Movers: transactions that take tokens out of one queue and put them into others.

use amqp_wire::hot::Publication;
use amqp_wire::{Method, basic, tx};
use anyhow::{Result, bail};
use testkit::amqp::{Peer, persistent, short};

use super::Shared;
use super::shared::count;
use crate::crash::breach::must;
use crate::crash::tokens::Move;
use crate::crash::topology::TOKEN_QUEUES;

const CHANNEL: u16 = 1;

const MOVES_MAX: usize = 6;

/// Moves tokens until the connection ends.
pub(super) fn run(mut peer: Peer, shared: &Shared, mover: u64, mut rng: fastrand::Rng) -> Result<()> {
    peer.open_channel(CHANNEL)?;
    let tx::SelectOk {} = peer.call(CHANNEL, tx::Select {})?;
    loop {
        let taken = take(&mut peer, shared, &mut rng)?;
        if rng.u8(..) < 25 {
            // What is rolled back stays in our hands and is moved by the next transaction.
            put(&mut peer, &taken, &mut rng)?;
            let tx::RollbackOk {} = peer.call(CHANNEL, tx::Rollback {})?;
        }
        let moves = put(&mut peer, &taken, &mut rng)?;
        shared.tokens().on_commit(mover, &moves);
        let tx::CommitOk {} = peer.call(CHANNEL, tx::Commit {})?;
        shared.tokens().on_commit_ok(mover);
        count(&shared.counters.commits);
    }
}

struct Taken {
    tag: u64,
    token: u32,
    from: usize,
}

fn take(peer: &mut Peer, shared: &Shared, rng: &mut fastrand::Rng) -> Result<Vec<Taken>> {
    let mut taken = Vec::new();
    for _ in 0..rng.usize(1..=MOVES_MAX) {
        let from = rng.usize(..TOKEN_QUEUES.len());
        peer.send(CHANNEL, basic::Get { queue: short(TOKEN_QUEUES[from]), no_ack: false })?;
        let incoming = peer.receive()?;
        shared.stop_if_ending_gradually()?;
        match (&incoming.method, &incoming.content) {
            (Method::Basic(basic::Method::GetEmpty(_)), _) => {}
            (Method::Basic(basic::Method::GetOk(got)), Some(content)) => {
                let token = read_token(&content.body)?;
                shared.tokens().on_taken(token, from)?;
                taken.push(Taken { tag: got.delivery_tag, token, from });
            }
            (method, _) => bail!("expected a token, got {method:?}"),
        }
    }
    Ok(taken)
}

/// Publishes each token to another queue than the one it comes from, and acknowledges it.
fn put(peer: &mut Peer, taken: &[Taken], rng: &mut fastrand::Rng) -> Result<Vec<Move>> {
    let mut moves = Vec::new();
    for &Taken { tag, token, from } in taken {
        let to = (from + rng.usize(1..TOKEN_QUEUES.len())) % TOKEN_QUEUES.len();
        let target =
            Publication { exchange: b"", routing_key: TOKEN_QUEUES[to].as_bytes(), mandatory: false };
        peer.publish(CHANNEL, &target, &persistent(), &token.to_be_bytes())?;
        peer.send(CHANNEL, basic::Ack { delivery_tag: tag, multiple: false })?;
        moves.push(Move { token, from, to });
    }
    Ok(moves)
}

/// The token that a body is.
pub(in crate::crash) fn read_token(body: &[u8]) -> Result<u32> {
    must!(body.len() == 4, "a token of {} bytes", body.len());
    Ok(u32::from_be_bytes([body[0], body[1], body[2], body[3]]))
}

//! Random numbers from a seed that comes in from outside.

use sha2::{Digest, Sha256};

/// A stream of random numbers: SHA-256 over a secret seed and a counter.
///
/// Deliveries happen as a consequence of many commands, so their reply addresses cannot come in with each; the seed comes
/// in once, at the boot, and the core stays a function of its inputs. Who does not know the seed cannot tell one number from
/// the others. Nothing that is replayed draws from it.
#[derive(Debug)]
pub(crate) struct RandomStream {
    seed: Seed,
    drawn: u64,
}

/// The secret behind a [`RandomStream`]: 32 random bytes, new for each boot.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Seed(pub [u8; 32]);

impl RandomStream {
    pub(crate) fn new(seed: Seed) -> Self {
        Self { seed, drawn: 0 }
    }

    /// The next 128 bits.
    pub(crate) fn draw(&mut self) -> u128 {
        self.drawn += 1;
        let digest: [u8; 32] =
            Sha256::new().chain_update(self.seed.0).chain_update(self.drawn.to_be_bytes()).finalize().into();
        let (bits, _) = digest.split_first_chunk().expect("a digest has 32 bytes");
        u128::from_be_bytes(*bits)
    }

    /// A number from 0 to `max`.
    pub(crate) fn up_to(&mut self, max: u64) -> u64 {
        let bits = self.draw();
        // 128 bits over at most 64: no remainder is visibly preferred.
        (bits % (u128::from(max) + 1)) as u64
    }
}

/// It is a secret, so it stays out of logs.
impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_all_and_numbers_differ() {
        let draw = |seed| {
            let mut stream = RandomStream::new(Seed([seed; 32]));
            [stream.draw(), stream.draw(), stream.draw()]
        };
        assert_eq!(draw(1), draw(1));
        let mut all = [draw(1), draw(2)].concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6);
        let mut stream = RandomStream::new(Seed::default());
        assert!((0..100).all(|_| stream.up_to(3) <= 3));
        assert_eq!(stream.up_to(0), 0);
    }
}

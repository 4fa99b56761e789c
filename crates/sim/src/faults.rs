//! The bad things that happen, each with the reason why it is legal: a broker has to live with all of them.
//!
//! | fault | why it is legal |
//! |---|---|
//! | the power is cut, at any moment and in the middle of any step of the disk | machines lose power; what runs can be anywhere in its work |
//! | sectors that were written and not synced are kept or lost, each for itself | page cache and disk write back in any order, and a write of several sectors is not one step (`write(2)`, `fsync(2)`) |
//! | names that were made, changed or removed are lost unless their folder was synced, from some point of their order on | directory entries are data of the folder (`fsync(2)`: "does not necessarily ensure that the entry in the directory has also reached disk") |
//! | an unsynced sector that was blank before comes back as noise | a sector that was being written when the power failed may hold anything. Not where something was: that a sector is written whole or not at all is what `docs/journal-format.md` relies on |
//! | the process is killed: what was written stays in the page cache, synced or not | `kill -9`, the OOM killer, a panic: the system lives on |
//! | one write fails, and a part of it is there | a bad sector, a path that comes and goes, a quota |
//! | one sync fails, and the page cache calls its pages clean all the same | Linux drops the error after it was told once ("fsyncgate"; `fsync(2)`, section on errors) |
//! | a sync takes its time, up to half a second | a busy or dying disk, a throttled volume |
//! | the disk is full, and later it is not | somebody else fills it, somebody cleans up |
//! | a body that is read from the journal comes late, and after one that was asked for later | reads run on several threads |
//! | a connection is cut at any byte, in each direction for itself | cables, routers, mobile networks; TCP gives no more than a prefix |
//! | a client stops reading, for seconds or for ever | a worker that is busy, a laptop that is closed |
//! | bytes arrive in other portions than they were sent in | TCP is a stream |
//! | the clock jumps ahead | the machine was suspended |
//! | the clock stands earlier after a restart than before it | it was corrected, or the machine has no battery for it. Within a process the server never lets it run backwards |

use crate::agenda::{Micros, SECOND};
use crate::random::Random;

/// A day, in milliseconds.
const DAY_MS: u64 = 24 * 3_600_000;

/// How likely the faults of a run are.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Time between two crashes on average; 0 for none.
    pub crash_every: Micros,
    /// Of a hundred crashes, so many cut the power; the others only kill the process.
    pub power_cut_percent: u64,
    /// Of a hundred boots, so many meet a power cut in the middle of a step of the disk.
    pub torn_step_percent: u64,
    /// Of a hundred boots, so many meet one while a file has a new name, and its old one may come back. It happens in few
    /// steps, and is easily got wrong.
    pub torn_rename_percent: u64,
    /// Of a hundred boots, so many meet a write that fails.
    pub failing_write_percent: u64,
    /// Of a hundred boots, so many meet a sync that fails.
    pub failing_sync_percent: u64,
    /// Of a hundred boots, so many end in peace.
    pub orderly_stop_percent: u64,
    /// The longest that a sync takes.
    pub sync_time_max: Micros,
    /// Time between two cut connections on average; 0 for none.
    pub cut_line_every: Micros,
    /// Time between two clients that stop reading on average; 0 for none.
    pub stop_reading_every: Micros,
    /// Time between two jumps of the clock on average; 0 for none.
    pub jump_every: Micros,
    /// Time between two times that the disk is full on average; 0 for none.
    pub fill_disk_every: Micros,
    /// Unsynced sectors may come back as garbage.
    pub garbage: bool,
}

/// One bad thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The machine loses power.
    PowerCut,
    /// The process is killed.
    Kill,
    /// A connection breaks.
    CutLine,
    /// A client stops reading for this long.
    StopReading(Micros),
    /// The clock jumps ahead by so many milliseconds.
    JumpClock(u64),
    /// Somebody fills the disk, but for so many bytes, and cleans up after this time.
    FillDisk(u64, Micros),
}

impl Faults {
    /// Chooses some; most runs have few kinds, so that one does not hide what the other would show.
    pub fn choose(random: &mut Random) -> Self {
        let mut some = |chance: u64, least: u64, most: u64| match random.percent(chance) {
            true => random.between(least, most),
            false => 0,
        };
        Self {
            crash_every: some(85, SECOND / 100, SECOND / 2),
            power_cut_percent: some(80, 30, 100),
            torn_step_percent: some(50, 10, 60),
            torn_rename_percent: some(50, 10, 80),
            failing_write_percent: some(15, 5, 30),
            failing_sync_percent: some(25, 5, 40),
            orderly_stop_percent: some(30, 5, 30),
            sync_time_max: some(100, 100, 3_000) + some(20, 10_000, SECOND / 2),
            cut_line_every: some(50, SECOND / 100, SECOND / 2),
            stop_reading_every: some(40, SECOND / 50, SECOND / 2),
            jump_every: some(30, SECOND / 20, SECOND),
            fill_disk_every: some(25, SECOND / 50, SECOND / 2),
            garbage: some(30, 1, 1) == 1,
        }
    }

    /// The kinds that come by themselves, with how often each comes in a million simulated seconds.
    #[must_use]
    pub fn rates(&self) -> [u64; 5] {
        let rate = |every: Micros| (1_000_000 * SECOND).checked_div(every).unwrap_or(0);
        let every = [
            self.crash_every,
            self.cut_line_every,
            self.stop_reading_every,
            self.jump_every,
            self.fill_disk_every,
        ];
        every.map(rate)
    }

    /// Draws what comes next, and after how long; nothing if nothing comes.
    pub fn next(&self, random: &mut Random) -> Option<(Micros, Fault)> {
        let rates = self.rates();
        let sum: u64 = rates.iter().sum();
        if sum == 0 {
            return None;
        }
        // About exponential: the smaller of two draws, so that things also come close together.
        let mean = 1_000_000 * SECOND / sum;
        let after = random.between(0, 3 * mean).min(random.between(0, 3 * mean));
        let fault = match random
            .weighted(rates.iter().map(|rate| (*rate / 1000) as u32 + u32::from(*rate > 0)))
        {
            0 if random.percent(self.power_cut_percent) => Fault::PowerCut,
            0 => Fault::Kill,
            1 => Fault::CutLine,
            2 => Fault::StopReading(random.between(SECOND / 100, 2 * SECOND)),
            // So far now and then that keys and results are forgotten.
            3 if random.percent(5) => Fault::JumpClock(random.between(DAY_MS, 9 * DAY_MS)),
            3 => Fault::JumpClock(random.between(10, 120_000)),
            _ => {
                Fault::FillDisk(*random.pick(&[0, 20_000, 100_000]), random.between(SECOND / 50, 2 * SECOND))
            }
        };
        Some((after, fault))
    }
}

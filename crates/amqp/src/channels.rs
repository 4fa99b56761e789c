//! The open channels of a connection.

use crate::channel::Channel;
use crate::request::RequestOrigin;

/// Channels by number. Connections have few, so a sorted list is small and quick.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    sorted: Vec<Channel>,
    /// Where the last one asked for was found: frames of one channel come in rows.
    last: usize,
    generation: u32,
}

impl Channels {
    /// How many there are, those that are closing included.
    pub(crate) fn len(&self) -> usize {
        self.sorted.len()
    }

    /// The channel of this number.
    pub(crate) fn get_mut(&mut self, number: u16) -> Option<&mut Channel> {
        let position = self.position(number).ok()?;
        self.last = position;
        Some(&mut self.sorted[position])
    }

    /// Adds a channel, in place of one of the same number that may be there. Its generation is new.
    pub(crate) fn open(&mut self, number: u16) -> &mut Channel {
        self.generation =
            if self.generation == RequestOrigin::GENERATION_MAX { 0 } else { self.generation + 1 };
        let channel = Channel::new(number, self.generation);
        let position = self.position(number);
        let (Ok(position) | Err(position)) = position;
        if self.sorted.get(position).is_some_and(|there| there.number() == number) {
            self.sorted[position] = channel;
        } else {
            self.sorted.insert(position, channel);
        }
        &mut self.sorted[position]
    }

    /// Frees the number.
    pub(crate) fn remove(&mut self, number: u16) {
        if let Ok(position) = self.position(number) {
            self.sorted.remove(position);
        }
    }

    /// Frees all numbers, and the memory of half-read messages with them.
    pub(crate) fn clear(&mut self) {
        self.sorted = Vec::new();
    }

    fn position(&self, number: u16) -> Result<usize, usize> {
        match self.sorted.get(self.last) {
            Some(channel) if channel.number() == number => Ok(self.last),
            _ => self.sorted.binary_search_by_key(&number, Channel::number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_channel_whatever_the_order() {
        let mut channels = Channels::default();
        for number in [7, 1, 65_535, 3] {
            channels.open(number);
        }
        for number in [3, 3, 65_535, 1, 7] {
            assert_eq!(channels.get_mut(number).map(|channel| channel.number()), Some(number));
        }
        channels.remove(7);
        channels.remove(2);
        assert!(channels.get_mut(7).is_none() && channels.get_mut(65_535).is_some());
        assert_eq!(channels.len(), 3);
    }

    #[test]
    fn a_number_that_is_opened_again_has_a_new_generation() {
        let mut channels = Channels::default();
        let first = channels.open(1).generation();
        assert_ne!(channels.open(1).generation(), first);
        assert_eq!(channels.len(), 1);
    }
}

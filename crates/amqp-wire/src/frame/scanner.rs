//! Many frames out of one read.

use super::{Frame, FrameError, next_frame};

/// Yields the whole frames of one stretch of bytes, and says how many bytes they were.
///
/// The scanner borrows the bytes and hands out ranges, so that a read of hundreds of frames costs neither copies nor
/// reference counts. What is left after the last whole frame stays with the caller for the next read.
#[derive(Clone, Debug)]
pub struct FrameScanner<'a> {
    input: &'a [u8],
    consumed_bytes: usize,
    frame_max: u32,
}

impl<'a> FrameScanner<'a> {
    /// Starts at the front of `input`. `frame_max` as for [`next_frame`].
    pub fn new(input: &'a [u8], frame_max: u32) -> Self {
        Self { input, consumed_bytes: 0, frame_max }
    }

    /// The next whole frame; `None` when the rest is not a whole frame.
    ///
    /// # Errors
    /// As [`next_frame`]. Asking again gives the same error.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let frame = next_frame(self.input, self.consumed_bytes, self.frame_max)?;
        if let Some(frame) = &frame {
            self.consumed_bytes = frame.end();
        }
        Ok(frame)
    }

    /// The payload of a frame that this scanner found.
    #[inline]
    pub fn payload(&self, frame: &Frame) -> &'a [u8] {
        &self.input[frame.payload.clone()]
    }

    /// How many bytes the frames found so far take, from the front.
    pub fn consumed_bytes(&self) -> usize {
        self.consumed_bytes
    }

    /// Sets the agreed frame size from the next frame on: `tune-ok` may share a read with what follows it.
    pub fn set_frame_max(&mut self, frame_max: u32) {
        self.frame_max = frame_max;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameKind, encode_frame};

    #[test]
    fn finds_all_whole_frames_and_leaves_the_rest() {
        let mut bytes = Vec::new();
        for channel in 0..3 {
            encode_frame(&mut bytes, FrameKind::Body, channel, |out| out.extend_from_slice(&[7; 5]));
        }
        let whole_bytes = bytes.len();
        bytes.extend_from_slice(&[1, 0, 0]);

        let mut scanner = FrameScanner::new(&bytes, 4096);
        for channel in 0..3 {
            let frame = scanner.next_frame().unwrap().unwrap();
            assert_eq!((frame.channel, scanner.payload(&frame)), (channel, [7; 5].as_slice()));
        }
        assert_eq!(scanner.next_frame(), Ok(None));
        assert_eq!(scanner.consumed_bytes(), whole_bytes);
    }

    #[test]
    fn a_new_limit_holds_for_the_next_frame() {
        let mut bytes = Vec::new();
        for _ in 0..2 {
            encode_frame(&mut bytes, FrameKind::Body, 1, |out| out.extend_from_slice(&[0; 5000]));
        }
        let mut scanner = FrameScanner::new(&bytes, 131_072);
        assert!(scanner.next_frame().unwrap().is_some());
        scanner.set_frame_max(4096);
        assert!(scanner.next_frame().is_err());
        assert_eq!(scanner.consumed_bytes(), 5008);
    }
}

//! What a program writes.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Read from a pipe at once, in bytes: as much as Linux keeps in one.
const READ_BYTES: usize = 64 * 1024;

/// Everything that comes through a pipe, up to a bound.
#[derive(Debug)]
pub(super) struct Whole {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Whole {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes: Vec::new(), bytes_max }
    }

    /// Reads to the end, or until there is more than the bound. What was read stays when the future is dropped.
    pub(super) async fn read(&mut self, mut pipe: impl AsyncRead + Unpin) -> std::io::Result<()> {
        while !self.is_too_much() {
            self.bytes.reserve(READ_BYTES);
            if pipe.read_buf(&mut self.bytes).await? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// There was more than the bound.
    pub(super) fn is_too_much(&self) -> bool {
        self.bytes.len() > self.bytes_max
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The last bytes that come through a pipe.
#[derive(Debug)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Tail {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes: Vec::new(), bytes_max }
    }

    /// Reads to the end, and passes everything on. What was read last stays when the future is dropped.
    pub(super) async fn read(
        &mut self,
        mut pipe: impl AsyncRead + Unpin,
        mut pass_on: impl AsyncWrite + Unpin,
    ) -> std::io::Result<()> {
        let mut chunk = Vec::with_capacity(READ_BYTES);
        while pipe.read_buf(&mut chunk).await? > 0 {
            self.push(&chunk);
            // A terminal that is gone is no reason to stop working.
            let _ = pass_on.write_all(&chunk).await;
            let _ = pass_on.flush().await;
            chunk.clear();
        }
        Ok(())
    }

    fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
        let surplus = self.bytes.len().saturating_sub(self.bytes_max);
        self.bytes.drain(..surplus);
    }

    /// The text; what is none is replaced.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_whole_is_read_up_to_a_bound() {
        let mut whole = Whole::new(10);
        whole.read(&b"0123456789"[..]).await.unwrap();
        assert!(!whole.is_too_much());
        assert_eq!(whole.into_bytes(), b"0123456789");
        let mut whole = Whole::new(9);
        whole.read(&b"0123456789"[..]).await.unwrap();
        assert!(whole.is_too_much());
    }

    #[tokio::test]
    async fn the_tail_is_kept_and_all_is_passed_on() {
        let input = "x".repeat(3 * READ_BYTES) + "the end\n";
        let (mut tail, mut passed_on) = (Tail::new(9), Vec::new());
        tail.read(input.as_bytes(), &mut passed_on).await.unwrap();
        assert_eq!(tail.text(), "xthe end");
        assert_eq!(passed_on, input.as_bytes());
    }
}

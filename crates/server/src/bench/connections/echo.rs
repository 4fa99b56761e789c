//! What the callers ask, and the one right answer to it.

use sha2::{Digest, Sha256};

/// The size of a question in bytes: a small job, so that the figures are those of the waiting and not of the body.
pub(super) const QUESTION_BYTES: usize = 64;

/// The body of a call. No other caller of this run, and no run before, has the same.
pub(super) fn question(run: u64, number: u64) -> Vec<u8> {
    format!("{run:016x}:{number:010}:{:.<width$}", "", width = QUESTION_BYTES - 28).into_bytes()
}

/// What a worker makes of a question: its bytes backwards, a space, and its SHA-256 in hexadecimal digits. A
/// worker that did nothing, or answered somebody else, can't be taken for one that worked.
pub(super) fn answer(question: &[u8]) -> Vec<u8> {
    let mut answer: Vec<u8> = question.iter().rev().copied().collect();
    answer.push(b' ');
    for byte in Sha256::digest(question) {
        answer.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_have_the_same_size_and_differ() {
        let questions = [question(7, 0), question(7, 1), question(8, 1), question(u64::MAX, 9_999_999_999)];
        assert!(questions.iter().all(|question| question.len() == QUESTION_BYTES));
        for (index, question) in questions.iter().enumerate() {
            assert!(!questions[..index].contains(question));
        }
    }

    #[test]
    fn an_answer_is_the_question_backwards_and_its_hash() {
        let expected = "cba ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(answer(b"abc"), expected.as_bytes());
    }
}

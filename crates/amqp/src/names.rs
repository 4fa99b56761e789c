//! Names: generated ones, and what is taken out of given ones.

use std::fmt;

use field_table::ShortString;

/// Makes names that nobody can guess, out of the numbers of a source that the shell has seeded.
pub(crate) struct Names {
    random: Box<dyn FnMut() -> u64 + Send>,
}

impl Names {
    /// Names drawn from `random`, which has to be as hard to guess as the names have to be.
    pub(crate) fn new(random: Box<dyn FnMut() -> u64 + Send>) -> Self {
        Self { random }
    }

    /// `prefix` and 22 characters of URL-safe base64: 128 bits.
    pub(crate) fn generate(&mut self, prefix: &str) -> ShortString {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut bits = u128::from((self.random)()) << 64 | u128::from((self.random)());
        let mut name = String::with_capacity(prefix.len() + 22);
        name.push_str(prefix);
        for _ in 0..22 {
            name.push(char::from(ALPHABET[(bits >> 122) as usize]));
            bits <<= 6;
        }
        ShortString::from_text_cut(&name)
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

/// The name without line ends, which RabbitMQ removes from the names of queues and exchanges without a word.
pub(crate) fn without_line_ends(name: ShortString) -> ShortString {
    let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    if !name.iter().any(is_line_end) {
        return name;
    }
    let kept: Vec<u8> = name.iter().copied().filter(|byte| !is_line_end(byte)).collect();
    ShortString::try_from(kept.as_slice()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_name_has_22_characters_of_128_bits() {
        let mut numbers = [u64::MAX, u64::MAX, 0, 1].into_iter();
        let mut names = Names::new(Box::new(move || numbers.next().unwrap()));
        assert_eq!(names.generate("amq.gen-"), "amq.gen-_____________________w");
        assert_eq!(names.generate("amq.gen-"), "amq.gen-AAAAAAAAAAAAAAAAAAAAAQ");
    }

    #[test]
    fn line_ends_go_and_the_rest_stays() {
        assert_eq!(without_line_ends(ShortString::from_static("a\r\nb\n")), "ab");
        assert_eq!(without_line_ends(ShortString::from_static("a b\t")), "a b\t");
    }
}

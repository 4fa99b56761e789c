//! `forebay hash-password`

use std::io::BufRead;

use super::{Failure, exit};
use crate::randomness::random;
use crate::users::PasswordHash;

#[derive(Debug, clap::Args)]
pub(super) struct HashPassword {}

impl HashPassword {
    /// The password comes by standard input, because arguments can be seen by every user of the machine.
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(|error| Failure::new(exit::DATA, error))?;
        let password = line.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            return Err(Failure::new(exit::DATA, anyhow::anyhow!("no password came by standard input")));
        }
        let salt = (random() as u32).to_be_bytes();
        println!("{}", PasswordHash::new(password.as_bytes(), salt));
        Ok(())
    }
}

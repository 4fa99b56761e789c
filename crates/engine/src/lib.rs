//! Placeholder of the crate's border; see ARCHITECTURE.md.

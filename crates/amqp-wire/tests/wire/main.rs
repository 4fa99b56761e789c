//! Tests of the codec as a whole: against an independent codec, against hostile bytes, and over the fuzz corpus.

mod corpus;
mod exercise;
mod hostile;
mod peer;
mod sample;

//! Runs the tasks of Forebay queues.

//! The program `forebay`.

/// Gives memory back that connections have let go of, which glibc keeps: see docs/performance.md.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    forebay::command_line::run()
}

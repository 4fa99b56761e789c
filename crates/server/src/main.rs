//! The program `forebay`.

fn main() -> std::process::ExitCode {
    forebay::command_line::run()
}

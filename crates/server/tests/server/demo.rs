//! `forebay demo`, small.

use std::process::Stdio;

use crate::support::forebay;

#[test]
fn nothing_is_lost_in_the_demonstration() {
    let output = forebay(&["demo", "--scale", "small", "--plain"]).stdin(Stdio::null()).output().unwrap();
    let [said, errors] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{said}\n{errors}");
    for part in [
        "at the provider: 60 once, 0 repeated, 0 lost",
        "a worker was killed",
        "the broker was killed",
        "the broker is back after",
        "  60 callers: 60 got their own answer",
        "Nothing was lost, and every answer was the right one.",
        "forebay work shout --exec",
    ] {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
    assert!(!said.contains('\x1b'), "{said}");
}

//! The settings as a table for people.

use std::fmt::Write;

use super::DEFINITIONS;

/// A Markdown table of all settings, as it stands in `docs/configuration.md`.
#[must_use]
pub fn reference() -> String {
    let mut table =
        String::from("| key in the file | flag, environment variable | values | default | what it does |\n");
    table.push_str("|---|---|---|---|---|\n");
    for definition in DEFINITIONS {
        let default = match definition.default {
            [] => "none".to_owned(),
            values => values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", "),
        };
        writeln!(
            table,
            "| `{}` | `--{}`, `{}` | {} | {} | {} |",
            definition.key,
            definition.flag,
            definition.variable(),
            definition.values(),
            default,
            definition.about
        )
        .expect("a string takes every text");
    }
    table
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_documentation_lists_every_setting() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let page = std::fs::read_to_string(path).unwrap();
        let table = super::reference();
        assert!(
            page.contains(&table),
            "docs/configuration.md is out of date; its table has to be:\n\n{table}"
        );
    }
}

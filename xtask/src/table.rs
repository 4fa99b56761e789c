//! Plain tables for people.

/// Prints rows in aligned columns: the first column to the left, the others to the right.
pub(crate) struct Table {
    widths: Vec<usize>,
}

impl Table {
    /// Prints the head. Columns are as wide as their title, but at least `width_min`.
    pub(crate) fn start(titles: &[&str], width_min: usize) -> Self {
        let table = Self { widths: titles.iter().map(|title| title.len().max(width_min)).collect() };
        table.row(titles);
        table
    }

    /// Prints a row.
    pub(crate) fn row<C: AsRef<str>>(&self, cells: &[C]) {
        println!("{}", self.line(cells).trim_end());
    }

    fn line<C: AsRef<str>>(&self, cells: &[C]) -> String {
        let aligned = cells.iter().zip(&self.widths).enumerate().map(|(index, (cell, &width))| {
            let cell = cell.as_ref();
            if index == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        aligned.collect::<Vec<_>>().join("  ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_under_their_titles() {
        let table = Table { widths: vec![5, 4] };
        assert_eq!(table.line(&["ab", "7"]), "ab        7");
        assert_eq!(table.line(&["abcdefg", "12345"]), "abcdefg  12345");
    }
}

//! Text in columns, for people.

use serde_json::Value;

/// A table of what was told.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) head: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Section {
    pub(super) fn text(&self) -> String {
        table(&self.head, &self.rows)
    }
}

/// A row for each item of a list.
pub(super) fn rows(list: &Value, row: impl Fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    list.as_array().into_iter().flatten().map(row).collect()
}

/// A cell; what is not there is a dash.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Lines of `rows` below `head`, each column as wide as its widest cell. What would move a
/// terminal's cursor is shown as a mark.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let harmless = |cell: &String| cell.replace(char::is_control, "\u{fffd}");
    let rows: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(harmless).collect()).collect();
    let lines = || std::iter::once(&head).chain(&rows);
    let width = |column: usize| {
        lines().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for line in lines() {
        let cells = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// Bytes in the unit that leaves up to four digits: `1.5 MiB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut amount, mut unit) = (count as f64, 0);
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(amount.fract() != 0.0);
    format!("{amount:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["memory".to_owned(), "7".to_owned()], vec!["d".to_owned()]];
        assert_eq!(table(&["tier", "objects"], &rows), "tier    objects\nmemory  7\nd\n");
    }

    #[test]
    fn no_cell_moves_the_cursor() {
        let rows = [vec!["a\x1b[2Jb\n".to_owned()]];
        assert_eq!(table(&["tag"], &rows), "tag\na\u{fffd}[2Jb\u{fffd}\n");
    }

    #[test]
    fn bytes_are_short() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536 << 10, "1.5 MiB"),
            (1 << 30, "1 GiB"),
        ];
        for (count, text) in cases {
            assert_eq!(bytes(count), text);
        }
    }
}

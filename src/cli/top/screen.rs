//! One frame of `headland top`: tables one below another, a line at the foot. Pure.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::Stylize as _;
use ratatui::text::Line;
use ratatui::widgets::{Row, Table};

use crate::cli::table::Section;

/// Draws `sections`, and `foot` on the last line. What finds no room is cut off.
pub(super) fn draw(frame: &mut Frame<'_>, sections: &[Section], foot: &str) {
    let foot_line = Constraint::Length(1);
    let [body, bottom] = Layout::vertical([Constraint::Fill(1), foot_line]).areas(frame.area());
    let heights = sections.iter().map(|section| section.rows.len() as u16 + 1);
    let areas = Layout::vertical(heights.map(Constraint::Length)).spacing(1).split(body);
    for (section, area) in sections.iter().zip(areas.iter()) {
        frame.render_widget(table(section), *area);
    }
    frame.render_widget(Line::from(foot).dim(), bottom);
}

fn table(section: &Section) -> Table<'_> {
    let lines = || section.rows.iter().map(Vec::as_slice);
    let width = |(column, head): (usize, &&str)| {
        let cells = lines().filter_map(move |row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        Constraint::Length(widest.max(head.chars().count()) as u16)
    };
    let widths: Vec<_> = section.head.iter().enumerate().map(width).collect();
    let head = Row::new(section.head.iter().copied()).bold();
    let rows = section.rows.iter().map(|row| {
        let row_of = Row::new(row.iter().map(String::as_str));
        if is_alarming(row) { row_of.red() } else { row_of }
    });
    Table::new(rows, widths).header(head).column_spacing(2)
}

/// Whether a row tells of an upstream that is not healthy, or of a disk that is aside or full.
fn is_alarming(row: &[String]) -> bool {
    let is_told = |cell: &String| ["aside", "short"].iter().any(|state| cell.starts_with(state));
    row.last().is_some_and(|cell| cell == "no" || is_told(cell))
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::style::{Color, Modifier};
    use serde_json::json;

    use super::*;
    use crate::cli::status::sections;

    fn screen(width: u16, height: u16) -> Terminal<TestBackend> {
        let status = json!({
            "version": "0.1.0", "name": "fra-1", "region": "", "role": "edge", "state": "serving",
            "config_version": "abc",
            "tiers": [{
                "tier": "memory", "objects": 12, "bytes": 1536, "capacity_bytes": 1_u64 << 30,
                "hits": 9, "misses": 1, "hit_ratio": 0.9,
            }],
            "upstreams": [
                { "name": "app", "server": "http://10.0.0.5", "healthy": true },
                { "name": "app", "server": "http://10.0.0.6", "healthy": false },
            ],
            "purge": { "log": "f00", "position": 3, "head": 4 },
        });
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let draw = |frame: &mut Frame<'_>| draw(frame, &sections(&status, None), "q quits");
        terminal.draw(draw).unwrap();
        terminal
    }

    #[test]
    fn a_frame_shows_every_table() {
        let terminal = screen(60, 14);
        let buffer = terminal.backend().buffer();
        let lines = buffer.content.chunks(60).map(|line| {
            let line: String = line.iter().map(|cell| cell.symbol()).collect();
            line.trim_end().to_owned() + "\n"
        });
        let expected = "\
node   role  region  state    version  config
fra-1  edge  -       serving  0.1.0    abc

tier    objects  in use   capacity  hits  misses  hit ratio
memory  12       1.5 KiB  1 GiB     9     1       90.0 %

upstream  server           healthy
app       http://10.0.0.5  yes
app       http://10.0.0.6  no

purge log  position  head
f00        3         4

q quits
";
        assert_eq!(lines.collect::<String>(), expected);
        assert!(buffer[(0, 0)].modifier.contains(Modifier::BOLD));
        assert_eq!((buffer[(0, 7)].fg, buffer[(0, 8)].fg), (Color::Reset, Color::Red));
    }

    #[test]
    fn a_small_terminal_is_no_fault() {
        for (width, height) in [(1, 1), (10, 3), (60, 2), (200, 80)] {
            screen(width, height);
        }
    }
}

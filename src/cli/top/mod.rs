//! `headland top`: a node's status, live in a terminal.
//!
//! Where standard output is no terminal, one frame is printed as text.

mod screen;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use serde_json::Value;

use super::door::{Door, DoorArgs, DoorError};
use super::say;
use super::status::{Since, sections};
use super::table::Section;
use crate::config::units::{parse_duration, show_duration};

/// How long an answer may take. No key is heard meanwhile.
const PATIENCE: Duration = Duration::from_secs(3);

/// Show live how a node fares: tiers with rates, upstreams, purges
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  headland top
  headland top --node https://edge-1.internal:9180 --ca ca.pem --token-file view.token
  headland top --once

q, Esc or Ctrl-C ends it. Where standard output is no terminal, it is as with --once.")]
pub(super) struct Args {
    /// Print one frame as text, and end
    #[arg(long)]
    once: bool,
    /// How often to ask, from 100ms to 1h
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Duration,
    #[command(flatten)]
    door: DoorArgs,
}

/// Why it ended early.
#[derive(Debug, thiserror::Error)]
enum TopError {
    #[error(transparent)]
    Door(#[from] DoorError),
    #[error("the terminal: {0}")]
    Terminal(#[from] io::Error),
}

pub(super) fn run(args: &Args) -> ExitCode {
    let ended = if args.once || !io::stdout().is_terminal() { once(args) } else { watch(args) };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("headland top: {error}");
            match error {
                TopError::Door(error) => error.exit_code(),
                TopError::Terminal(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn once(args: &Args) -> Result<(), TopError> {
    let told = Door::new(&args.door, PATIENCE)?.get("/v1/status")?;
    let texts: Vec<_> = sections(&told.data, None).iter().map(Section::text).collect();
    say(&texts.join("\n"));
    Ok(())
}

fn watch(args: &Args) -> Result<(), TopError> {
    let door = Door::new(&args.door, PATIENCE)?;
    // Whoever cannot be asked at all is told so in the plain terminal.
    let first = door.get("/v1/status")?;
    let seen = Seen { last: (first.data, Instant::now()), before: None, fault: None };
    let mut terminal = ratatui::try_init()?;
    let ended = live(&mut terminal, &door, seen, args.interval);
    ratatui::restore();
    Ok(ended?)
}

/// What was told of late.
struct Seen {
    last: (Value, Instant),
    before: Option<(Value, Instant)>,
    /// Why there was no answer since.
    fault: Option<String>,
}

impl Seen {
    fn ask(self, door: &Door) -> Self {
        match door.get("/v1/status") {
            Ok(told) => {
                Self { last: (told.data, Instant::now()), before: Some(self.last), fault: None }
            }
            Err(error) => Self { fault: Some(error.to_string()), ..self },
        }
    }

    fn sections(&self) -> Vec<Section> {
        let (status, at) = &self.last;
        let since = self.before.as_ref();
        let since = since.map(|(status, then)| Since { status, ago: *at - *then });
        sections(status, since)
    }
}

fn live(
    terminal: &mut DefaultTerminal,
    door: &Door,
    mut seen: Seen,
    interval: Duration,
) -> io::Result<()> {
    loop {
        let next = Instant::now() + interval;
        let foot = match &seen.fault {
            None => format!("every {}; q quits", show_duration(interval)),
            Some(fault) => fault.clone(),
        };
        let sections = seen.sections();
        terminal.draw(|frame| screen::draw(frame, &sections, &foot))?;
        while event::poll(next.saturating_duration_since(Instant::now()))? {
            match event::read()? {
                Event::Key(key) if ends(key) => return Ok(()),
                Event::Resize(..) => {
                    terminal.draw(|frame| screen::draw(frame, &sections, &foot))?;
                }
                _ => {}
            }
        }
        seen = seen.ask(door);
    }
}

fn ends(key: KeyEvent) -> bool {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press
        && match key.code {
            KeyCode::Char('q') | KeyCode::Esc => true,
            KeyCode::Char('c') => is_control,
            _ => false,
        }
}

fn interval(text: &str) -> Result<Duration, String> {
    let allowed = Duration::from_millis(100)..=Duration::from_hours(1);
    let parsed = parse_duration(text).filter(|parsed| allowed.contains(parsed));
    parsed.ok_or_else(|| "expected a time from 100ms to 1h, such as 2s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_end_it() {
        let cases = [
            (KeyCode::Char('q'), KeyModifiers::NONE, true),
            (KeyCode::Esc, KeyModifiers::NONE, true),
            (KeyCode::Char('c'), KeyModifiers::CONTROL, true),
            (KeyCode::Char('c'), KeyModifiers::NONE, false),
            (KeyCode::Enter, KeyModifiers::NONE, false),
        ];
        for (code, modifiers, expected) in cases {
            assert_eq!(ends(KeyEvent::new(code, modifiers)), expected, "{code:?}");
        }
    }

    #[test]
    fn intervals_are_bounded() {
        for (text, expected) in [("1s", true), ("100ms", true), ("0", false), ("2h", false)] {
            assert_eq!(interval(text).is_ok(), expected, "{text}");
        }
    }
}

//! `headland token new`: a random token, shown once, and the stanza that makes it known.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Subcommand, ValueEnum};
use rustls::crypto::aws_lc_rs::default_provider;
use serde_json::json;

use super::say;
use crate::config::moment::Moment;
use crate::config::secret::{Secret, TokenHash, base64url};
use crate::config::units::parse_duration;

/// Make tokens for the admin door
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    New(NewArgs),
}

/// Make a random token, show it once, and the stanza to paste into the config
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  headland token new --name deploy --role purge --site shop --expires 30d
  headland token new --name grafana --role view --json")]
struct NewArgs {
    /// Name of the holder, for logs
    #[arg(long, value_parser = name)]
    name: String,
    /// What the holder may do
    #[arg(long)]
    role: Role,
    /// Site to which the token is limited; may be given several times
    #[arg(long, value_name = "NAME", value_parser = name)]
    site: Vec<String>,
    /// How long it is to be known; without it until it is taken out of the config
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    expires: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// Reads
    View,
    /// Also purges
    Purge,
    /// Follows the purge log and sends heartbeats
    Node,
    /// Everything
    Admin,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let Action::New(args) = &args.action;
    let token = match random() {
        Ok(token) => token,
        Err(error) => {
            eprintln!("headland token: {error}");
            return ExitCode::FAILURE;
        }
    };
    let hash = TokenHash::of(&Secret::new(token.as_str())).to_string();
    let role = args.role.to_possible_value().map_or(String::new(), |it| it.get_name().to_owned());
    let expires = args.expires.map(|lifetime| ends(SystemTime::now(), lifetime));
    let stanza = stanza(&args.name, &role, &args.site, expires.as_deref(), &hash);
    if args.json {
        let data = json!({
            "token": token, "name": args.name, "role": role, "sites": args.site,
            "expires": expires, "hash": hash, "stanza": stanza,
        });
        say(&format!("{}\n", json!({ "data": data, "meta": {} })));
    } else {
        say(&format!(
            "The token, shown this once; keep it in a file that only its holder can read:\n\n\
             {token}\n\nThe stanza for the config:\n\n{stanza}",
        ));
    }
    ExitCode::SUCCESS
}

/// The system gives no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random bytes; try again")]
pub(super) struct NoRandom;

/// A token that nobody has.
pub(super) fn random() -> Result<String, NoRandom> {
    let mut random = [0; 32];
    default_provider().secure_random.fill(&mut random).map_err(|_| NoRandom)?;
    Ok(format!("hl_{}", base64url(&random)))
}

fn stanza(name: &str, role: &str, sites: &[String], expires: Option<&str>, hash: &str) -> String {
    let sites = match sites {
        [] => String::new(),
        // Names need no escape.
        sites => format!("sites = {sites:?}\n"),
    };
    let expires = expires.map_or(String::new(), |expires| format!("expires = {expires}\n"));
    format!("[[token]]\nname = \"{name}\"\nrole = \"{role}\"\n{sites}{expires}hash = \"{hash}\"\n")
}

/// When what begins now ends, as a config takes it.
fn ends(now: SystemTime, lifetime: Duration) -> String {
    let end = now.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_add(lifetime);
    Moment(end.as_secs()).to_string()
}

/// Up to a century: a token that is to be known longer needs no end.
fn lifetime(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_hours(24 * 36_525);
    let lifetime = parse_duration(text).filter(|it| !it.is_zero() && *it <= LONGEST);
    lifetime.ok_or_else(|| "expected a duration such as 30d or 12h".to_owned())
}

/// A name as the config takes it.
pub(super) fn name(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    match (1..=64).contains(&text.len()) && text.bytes().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("expected 1 to 64 letters, digits, \".\", \"_\" or \"-\"".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stanza_is_a_part_of_a_config() {
        let hash = TokenHash::of(&Secret::new("hl_x")).to_string();
        let sites = ["shop".to_owned(), "blog".to_owned()];
        let expected = format!(
            "[[token]]\nname = \"deploy\"\nrole = \"purge\"\nsites = [\"shop\", \"blog\"]\n\
             hash = \"{hash}\"\n"
        );
        assert_eq!(stanza("deploy", "purge", &sites, None, &hash), expected);
        let now = UNIX_EPOCH + Duration::from_secs(1_795_323_633);
        let ends = ends(now, Duration::from_hours(24 * 30));
        assert_eq!(ends, "2026-12-22T05:00:33Z");
        let expected = expected.replace("hash", &format!("expires = {ends}\nhash"));
        assert_eq!(stanza("deploy", "purge", &sites, Some(&ends), &hash), expected);
        assert_eq!(Moment::parse(&ends), Some(Moment(1_795_323_633 + 30 * 86_400)));
    }
}

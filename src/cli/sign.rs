//! `headland sign`: a URL that holds for a while.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::{USAGE, say};
use crate::config::moment::Moment;
use crate::config::site::signed_urls::SigningKey;
use crate::config::units::parse_duration;
use crate::site::{Grant, sign_url};

/// Sign a URL, for routes that have signed_urls
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  headland sign https://static.example.com/film.mp4 --key-file signing.key --expires 1h
  headland sign https://static.example.com/media/1.ts --key-file signing.key --expires 8h \\
      --prefix /media/ --ip 192.0.2.1 --key 2027

Exit codes: 0 signed, 2 nothing that can be signed.")]
pub(super) struct Args {
    /// The URL to sign
    url: String,
    /// File of the secret, as the config of the nodes names it
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// What the config calls the key; without it every key of the route is tried
    #[arg(long, value_name = "ID", value_parser = super::token::name)]
    key: Option<String>,
    /// How long the URL holds
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    expires: Duration,
    /// The one client that may use it
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<IpAddr>,
    /// Signs for every path that begins so, with any query; without it for that of the URL alone
    #[arg(long, value_name = "PATH")]
    prefix: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const NANOS_A_SECOND: u128 = 1_000_000_000;

pub(super) fn run(args: &Args) -> ExitCode {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // It holds for no less than was asked for.
    let expires = now.saturating_add(args.expires).as_nanos().div_ceil(NANOS_A_SECOND);
    let expires = u64::try_from(expires).unwrap_or(u64::MAX);
    match signed(args, &args.key_file, expires) {
        Ok(url) if args.json => {
            let data = json!({ "url": url, "expires": Moment(expires).to_string() });
            say(&format!("{}\n", json!({ "data": data, "meta": {} })));
            ExitCode::SUCCESS
        }
        Ok(url) => {
            say(&format!("{url}\n"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("headland sign: {error}");
            ExitCode::from(USAGE)
        }
    }
}

fn signed(args: &Args, file: &Path, expires: u64) -> Result<String, String> {
    let key = SigningKey { file: Some(file.to_owned()), ..SigningKey::default() };
    let secret = key.read().map_err(|fault| fault.to_string())?;
    let (key, ip, prefix) = (args.key.as_deref(), args.ip, args.prefix.as_deref());
    let grant = Grant { key, expires, ip, prefix };
    sign_url(&args.url, &secret, &grant).map_err(|fault| fault.to_string())
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = parse_duration(text).filter(|it| !it.is_zero());
    lifetime.ok_or_else(|| "expected a duration such as 1h or 30d".to_owned())
}

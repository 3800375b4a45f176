//! What a person could try while the demo runs. Each command stands on a line of its own and works
//! as it is printed.

use std::path::Path;

use super::fleet::{EDGES, SHIELD};
use super::stage::Stage;

/// Where everything is, and commands to try in another terminal.
pub(super) fn invitation(stage: &Stage) -> String {
    let [near, far] = EDGES.map(|name| stage.member(name));
    let shield = stage.member(SHIELD);
    let (http, https, admin) = (near.http(), near.https(), near.admin());
    let (other, other_https) = (far.http(), far.https());
    let (control, origin, shield) = (stage.control(), stage.origin(), shield.https());
    let files = stage.files();
    let (token, ca, page) =
        (quoted(&stage.token_file()), quoted(&stage.ca_file()), quoted(&files.join("index.html")));
    let files = files.display();
    let program = std::env::current_exe().map_or("headland".to_owned(), |path| quoted(&path));
    format!(
        "\
edge-1         http://{http}  https://{https} (HTTP/1.1, 2 and 3)
edge-2         http://{other}  https://{other_https}
shield-1       https://{shield}, which both edges ask
origin         http://{origin}, which the shield asks; its files are in
               {files}
control plane  http://{control}

Try, in another terminal:

A page: a miss at every tier, then a hit at the edge; Cache-Status tells
  curl -i http://{http}/
At the other edge: the shield has it, and the origin rests
  curl -i http://{other}/
Over TLS; HTTP/2 if curl can
  curl -i --cacert {ca} https://{https}/
What the origin wants to be asked for each time
  curl -i http://{http}/news.html
A part of a large file: no more of it is fetched than the slice around it
  curl -s -r 0-3 -o /dev/null -D - http://{http}/film.bin
A new version, and a purge of all pages, with its receipt
  echo 'Hello again' > {page}
  export HEADLAND_CONTROL=http://{control} HEADLAND_TOKEN_FILE={token}
  {program} purge tag pages --wait
  curl -i http://{other}/
The same purge by curl
  curl -sS -H \"authorization: Bearer $(cat {token})\" -H 'content-type: application/json' \
-d '{{\"kind\":\"tag\",\"value\":\"pages\"}}' 'http://{control}/v1/purges?wait=true'
The fleet, the recent purges, and how one node fares
  {program} nodes
  {program} purges
  {program} status --node http://{admin}
  curl -s http://{admin}/metrics

Ctrl-C ends it.
"
    )
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@%,:".contains(&byte);
    match path.bytes().all(is_plain) {
        true => path,
        false => format!("'{}'", path.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_a_shell_needs_it() {
        let cases = [
            ("/tmp/headland-demo-1/ca.pem", "/tmp/headland-demo-1/ca.pem"),
            ("/tmp/a b", "'/tmp/a b'"),
            ("/tmp/it's", r"'/tmp/it'\''s'"),
        ];
        for (path, expected) in cases {
            assert_eq!(quoted(Path::new(path)), expected);
        }
    }
}

//! `headland demo --once` walks its tour and passes.

use std::process::Command;

use crate::support::within;

#[tokio::test]
async fn the_tour_passes() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_headland"));
    let ended = tokio::task::spawn_blocking(move || demo.args(["demo", "--once"]).output());
    let output = within("the end of the tour", ended).await.unwrap().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    for step in ["miss", "hit", "HTTP/2", "HTTP/3", "revalidation", "collapse", "range", "purge"] {
        assert!(told.contains(&format!("ok {step} ")), "{step}\n{told}");
    }
}

//! SIGHUP: tokens are taken from the file again, and what takes a restart is told.

use super::commands::Stage;
use super::*;

impl Stage {
    /// Puts another config in place, sends SIGHUP, and waits for what it says of that.
    fn reload(&self, change: impl Fn(&str) -> String) -> String {
        let config = self.folder.path().join("control.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, change(&text)).unwrap();
        let pid = self.control.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
        loop {
            let line = self.control.told.lock().unwrap().recv_timeout(LONGEST).unwrap();
            if line.contains("reloaded") {
                return line;
            }
        }
    }
}

#[test]
fn a_token_is_revoked_and_what_takes_a_restart_is_told() {
    let stage = Stage::start();
    assert_eq!(stage.run(&["purge", "tag", "a"]).0, 1, "pending");
    let told = stage.reload(|text| text.replace("name = \"deploy\"", "name = \"other\""));
    assert!(told.ends_with("reloaded tokens and certificates"), "{told}");
    assert!(stage.run(&["purges"]).1.contains("deploy"));
    let revoke = |text: &str| {
        let (kept, _revoked) = text.split_once("[[token]]\nname = \"other\"").unwrap();
        let kept = kept.replace("lease = \"300ms\"", "lease = \"400ms\"");
        let hook = "name = \"a\"\nbucket = \"b\"\nurls = [\"https://a.example/\"]\n";
        format!(
            "{kept}[limits]\nrequests_per_second = 7\n[purge]\nsettle = \"1s\"\n[[hook]]\n{hook}"
        )
    };
    let told = stage.reload(revoke);
    assert!(told.contains("take effect after a restart"), "{told}");
    assert!(told.contains("fleet, purge, limits, hook"), "{told}");
    let (code, _, stderr) = stage.run(&["purges"]);
    assert!(code == 1 && stderr.contains("the token is not known here"), "{stderr}");
    let told = stage.reload(|_| "[fleet".to_owned());
    assert!(told.contains("nothing was reloaded"), "{told}");
}

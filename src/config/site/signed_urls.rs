//! `[site.signed_urls]`: URLs that hold for a while, signed by whoever hands them out.

use std::path::PathBuf;

use crate::config::reader::Document;
use crate::config::reference::Sample::Commented;
use crate::config::rule::NAME;
use crate::config::secret::{Secret, SecretFault, read_secret};
use crate::config::section::section;

section! {
    /// URLs that hold for a while, as `headland sign` makes them. Requests without a right
    /// signature get 403. A signature is for GET and HEAD, of one path and query or of all below a
    /// prefix.
    pub struct SignedUrls {
        /// The keys by which URLs may be signed: a second one while they change. Without any, no
        /// signature is asked for.
        keys: Vec<SigningKey> = vec![], Commented(r#"[{ id = "2027", file = "signing.key" }]"#);
    }
}

section! {
    /// A key by which URLs are signed.
    pub struct SigningKey {
        /// What a URL calls it by.
        id: String = "main".to_owned(), NAME;
        /// File of the secret: a text of at least 16 bytes, the space around it not counted.
        file: Option<PathBuf> = None, Commented(r#""signing.key""#);
        /// The secret itself, from the environment; either this or `file`.
        secret: Option<Secret> = None, Commented(r#""${SIGNING_KEY}""#);
    }
}

impl SigningKey {
    /// The secret, wherever it is.
    ///
    /// # Errors
    /// The file's.
    pub fn read(&self) -> Result<Secret, SecretFault> {
        match (&self.secret, &self.file) {
            (Some(secret), _) => Ok(secret.clone()),
            (None, Some(file)) => read_secret(file),
            (None, None) => Err(SecretFault { file: PathBuf::new(), cause: "none".to_owned() }),
        }
    }
}

impl SignedUrls {
    /// Tells what contradicts itself; `key` is that of the table.
    pub(in crate::config) fn check(&self, document: &Document<'_>, key: &str) {
        let keys = format!("{key}.keys");
        if self.keys.len() > 2 {
            document.tell(&keys, "at most two keys", &format!("found {}", self.keys.len()));
        }
        for (number, signing) in self.keys.iter().enumerate() {
            let key = format!("{keys}[{number}]");
            let known = |name| document.is_faulty(&format!("{key}.{name}"));
            let found = match (&signing.file, &signing.secret) {
                (Some(_), Some(_)) => "found both",
                (None, None) if !known("file") && !known("secret") => "found neither",
                _ => continue,
            };
            document.tell(&key, "either file or secret", found);
        }
        let ids = self.keys.iter().enumerate();
        document.unique(ids.map(|(number, key)| (format!("{keys}[{number}].id"), &key.id)));
    }
}

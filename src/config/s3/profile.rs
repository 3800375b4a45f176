//! A file of credentials, in the form of `~/.aws/credentials`. Pure.
//!
//! ```text
//!  [default]
//!  aws_access_key_id = AKIA…
//!  aws_secret_access_key = …
//!  aws_session_token = …        # of temporary ones
//! ```

use crate::config::secret::Secret;

/// One section of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The access key's id, which is no secret.
    pub access_key: String,
    /// The secret that signs.
    pub secret_key: Secret,
    /// What temporary credentials are shown with.
    pub session_token: Option<Secret>,
}

impl Profile {
    /// Reads the section `name` of a file's text.
    ///
    /// # Errors
    /// What is missing, in words.
    pub(super) fn parse(text: &str, name: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim);
        let mut within = lines
            .skip_while(|line| section(line) != Some(name))
            .skip(1)
            .take_while(|line| section(line).is_none())
            .peekable();
        if within.peek().is_none() && !text.lines().any(|line| section(line.trim()) == Some(name)) {
            return Err(format!("it has no section [{name}]"));
        }
        let (mut access_key, mut secret_key, mut session_token) = (None, None, None);
        for line in within.filter(|line| !line.starts_with(['#', ';'])) {
            let Some((key, value)) = line.split_once('=') else { continue };
            let value = Some(value.trim()).filter(|value| !value.is_empty());
            match key.trim() {
                "aws_access_key_id" => access_key = value,
                "aws_secret_access_key" => secret_key = value,
                "aws_session_token" => session_token = value,
                _ => {}
            }
        }
        let missing = |key| format!("its section [{name}] has no {key}");
        Ok(Self {
            access_key: access_key.ok_or_else(|| missing("aws_access_key_id"))?.to_owned(),
            secret_key: Secret::new(secret_key.ok_or_else(|| missing("aws_secret_access_key"))?),
            session_token: session_token.map(Secret::new),
        })
    }
}

fn section(line: &str) -> Option<&str> {
    Some(line.strip_prefix('[')?.split_once(']')?.0.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_read_by_its_name() {
        let text = "# keys\naws_access_key_id = none\n[default]\naws_access_key_id = A1\n\
                    aws_secret_access_key=s/1+=\n\n[ ci ]\n; a comment\n#aws_session_token = old\n\
                    aws_access_key_id=A2\naws_secret_access_key = s2\naws_session_token = t2\n\
                    region = eu\n[half]\naws_access_key_id = A3\naws_secret_access_key =\n[empty]";
        let told = |name| {
            Profile::parse(text, name).map(|found| {
                let token = found.session_token.map(|token| token.reveal().to_owned());
                (found.access_key, found.secret_key.reveal().to_owned(), token)
            })
        };
        let own = |text: &str| text.to_owned();
        assert_eq!(told("default"), Ok((own("A1"), own("s/1+="), None)));
        assert_eq!(told("ci"), Ok((own("A2"), own("s2"), Some(own("t2")))));
        for (name, wrong) in [
            ("half", "its section [half] has no aws_secret_access_key"),
            ("empty", "its section [empty] has no aws_access_key_id"),
            ("none", "it has no section [none]"),
        ] {
            assert_eq!(told(name).unwrap_err(), wrong);
        }
    }
}

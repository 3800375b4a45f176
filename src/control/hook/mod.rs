//! Events of a bucket, in whichever envelope they come, and what is to be purged for them: pure.
//!
//! ```text
//!  S3, MinIO     {"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":…,"object":…}}]}
//!  EventBridge   {"detail-type":"Object Created","detail":{"bucket":…,"object":…}}
//!  SNS           {"Type":"Notification","Message":"one of the above"}
//!                {"Type":"SubscriptionConfirmation","SubscribeURL":"https://sns.…"}
//!  S3 at first   {"Service":"Amazon S3","Event":"s3:TestEvent",…}
//! ```
//!
//! Keys of `Records` are escaped as in a form, those of EventBridge come as they are. A client may
//! write a URL in several ways: each that is common is purged. An event that comes again purges
//! again, which does no harm.
//!
//! What SNS signs is not checked, for whoever sends shows a token; and what it asks to be confirmed
//! is told to people and never fetched: who has a token for purges is not to make this process ask
//! somebody else.

#[cfg(test)]
mod tests;
mod url;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::url::{spellings, unescape};
use crate::config::control_plane::Hook;
use crate::object::PurgeCommand;

/// Objects that one request tells of. S3 tells of one, others of a few.
const OBJECTS_MAX: usize = 2000;

/// What events say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// Objects that are others now, or none; and how many events say something else.
    Changes { objects: Vec<Object>, others: usize },
    /// Nothing that changes an object.
    Nothing,
    /// SNS asks whether it may send: by opening this URL.
    Unconfirmed { url: String },
}

/// Where an object stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    bucket: String,
    /// Of which it is one, or several where its spelling is not sure.
    keys: Vec<Vec<u8>>,
}

/// Why a body is no event, or not one for a hook.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HookFault {
    #[error("{field}: expected {expected}")]
    Shape { field: String, expected: &'static str },
    #[error("bucket: expected {expected:?}, which the hook is for, found {found:?}")]
    Bucket { expected: String, found: String },
}

fn shape(field: impl Into<String>, expected: &'static str) -> HookFault {
    HookFault::Shape { field: field.into(), expected }
}

impl Notice {
    /// Reads a body.
    pub(super) fn read(body: &[u8]) -> Result<Self, HookFault> {
        let json = object(body, "body")?;
        match json.get("Type").and_then(Value::as_str) {
            Some("Notification") => {
                let message = json["Message"].as_str();
                let message = message.ok_or_else(|| shape("Message", "a string"))?;
                Self::event(&object(message.as_bytes(), "Message")?)
            }
            Some("SubscriptionConfirmation") => {
                let url = json["SubscribeURL"].as_str().filter(|url| is_of_sns(url));
                let expected = "a URL of SNS, as https://sns.eu-central-1.amazonaws.com/…";
                let url = url.ok_or_else(|| shape("SubscribeURL", expected))?;
                Ok(Self::Unconfirmed { url: url.to_owned() })
            }
            Some("UnsubscribeConfirmation") => Ok(Self::Nothing),
            Some(_) => Err(shape("Type", "\"Notification\" or \"SubscriptionConfirmation\"")),
            None => Self::event(&json),
        }
    }

    fn event(json: &Value) -> Result<Self, HookFault> {
        if let Some(records) = json.get("Records") {
            let expected = "a list of events";
            let records = records.as_array().ok_or_else(|| shape("Records", expected))?;
            return Self::records(records);
        }
        if let Some(kind) = json.get("detail-type") {
            return match kind.as_str() {
                Some("Object Created" | "Object Deleted") => Self::bridged(&json["detail"]),
                Some(_) => Ok(Self::Nothing),
                None => Err(shape("detail-type", "a string")),
            };
        }
        match json["Event"].as_str() {
            Some("s3:TestEvent") => Ok(Self::Nothing),
            _ => Err(shape("body", "an event of S3: \"Records\", or \"detail\" of EventBridge")),
        }
    }

    fn records(records: &[Value]) -> Result<Self, HookFault> {
        let (mut objects, mut others) = (Vec::new(), 0);
        for (index, record) in records.iter().enumerate() {
            let text = |value: &Value, field: &str| {
                let text = value.as_str().map(str::to_owned);
                text.ok_or_else(|| shape(format!("Records[{index}].{field}"), "a string"))
            };
            let name = text(&record["eventName"], "eventName")?;
            if !changes(name.strip_prefix("s3:").unwrap_or(&name)) {
                others += 1;
                continue;
            }
            let bucket = text(&record["s3"]["bucket"]["name"], "s3.bucket.name")?;
            let key = text(&record["s3"]["object"]["key"], "s3.object.key")?;
            objects.push(Object { bucket, keys: vec![unescape(&key)] });
        }
        Ok(Self::Changes { objects, others })
    }

    fn bridged(detail: &Value) -> Result<Self, HookFault> {
        let text = |value: &Value, field: &str| {
            value.as_str().map(str::to_owned).ok_or_else(|| shape(field, "a string"))
        };
        let bucket = text(&detail["bucket"]["name"], "detail.bucket.name")?;
        let key = text(&detail["object"]["key"], "detail.object.key")?;
        // No document says how it is spelled; one purge too many does no harm.
        let mut keys = vec![unescape(&key), key.into_bytes()];
        keys.dedup();
        Ok(Self::Changes { objects: vec![Object { bucket, keys }], others: 0 })
    }
}

/// Whether an event of this name makes an object another, or takes it away.
fn changes(name: &str) -> bool {
    ["ObjectCreated:", "ObjectRemoved:", "LifecycleExpiration:"]
        .iter()
        .any(|it| name.starts_with(it))
}

/// The purges for objects, each once, and how many objects are not served.
pub(super) fn purges(
    hook: &Hook,
    objects: &[Object],
) -> Result<(Vec<PurgeCommand>, usize), HookFault> {
    if objects.len() > OBJECTS_MAX {
        return Err(shape("Records", "at most 2000 of them"));
    }
    let (mut commands, mut others) = (Vec::new(), 0);
    let mut urls = BTreeSet::new();
    for Object { bucket, keys } in objects {
        if *bucket != hook.bucket {
            let (expected, found) = (hook.bucket.clone(), bucket.clone());
            return Err(HookFault::Bucket { expected, found });
        }
        let served = keys.iter().filter_map(|key| key.strip_prefix(hook.prefix.as_bytes()));
        let served: Vec<_> = served.flat_map(|key| with_folder(key, &hook.index)).collect();
        others += usize::from(served.is_empty());
        for (key, base) in
            served.iter().flat_map(|key| hook.urls.iter().map(move |base| (key, base)))
        {
            for spelling in spellings(key) {
                let url = format!("{base}{spelling}");
                if !urls.insert(url.clone()) {
                    continue;
                }
                let json = json!({
                    "kind": "url",
                    "value": url,
                    // A star of a key is no star of a purge.
                    "exact": spelling.contains('*'),
                    "soft": hook.soft,
                });
                let command = PurgeCommand::from_json(&json);
                let mut command = command.map_err(|_| shape("key", "a part of a URL"))?;
                command.site.clone_from(&hook.site);
                commands.push(command);
            }
        }
    }
    Ok((commands, others))
}

/// A key, and that of its folder where the folder is served by it.
fn with_folder<'a>(key: &'a [u8], index: &str) -> impl Iterator<Item = &'a [u8]> {
    let folder = key.strip_suffix(index.as_bytes()).filter(|_| !index.is_empty());
    let folder = folder.filter(|folder| folder.is_empty() || folder.ends_with(b"/"));
    std::iter::once(key).chain(folder)
}

fn object(body: &[u8], field: &str) -> Result<Value, HookFault> {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    json.filter(Value::is_object).ok_or_else(|| shape(field, "a JSON object"))
}

fn is_of_sns(url: &str) -> bool {
    let host = url.strip_prefix("https://").and_then(|rest| rest.split(['/', '?', '#']).next());
    host.is_some_and(|host| {
        let is_aws = host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn");
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        host.starts_with("sns.") && is_aws && host.bytes().all(is_plain)
    })
}

//! A key of the bucket that one control process holds at a time.
//!
//! ```text
//!  key    <holder, 16 hex>     the process that wrote last
//!         …                    what it wrote
//! ```
//!
//! It is replaced by compare-and-set. Whoever leads takes it over by writing what stands there anew
//! under its own name, and one that finds another's name there writes no more. An answer that was
//! lost is told from another's write by the name.

use std::fmt::Display;

use async_nats::jetstream::kv::{Operation, Store};
use tokio::sync::Mutex;

use super::{Nats, NatsError};

/// How often a key is read again that another process writes meanwhile.
const TRIES: usize = 16;

/// One key.
#[derive(Debug)]
pub(in crate::control) struct HeldKey {
    bucket: Store,
    key: &'static str,
    /// What it holds, in messages.
    what: &'static str,
    value_max: usize,
    /// Random, of this process.
    holder: String,
    /// The revision of the key as this process last saw it.
    revision: Mutex<u64>,
}

/// What stands at the key.
#[derive(Default)]
struct Found {
    revision: u64,
    holder: String,
    text: String,
}

impl HeldKey {
    /// The key of this name, which holds `what`. Looks at nothing but the bucket.
    ///
    /// # Errors
    /// The bucket cannot be had.
    pub(in crate::control) async fn new(
        nats: &Nats,
        key: &'static str,
        what: &'static str,
    ) -> Result<Self, NatsError> {
        let holder = format!("{:016x}", fastrand::u64(..));
        let (bucket, value_max) = (nats.bucket().await?, nats.payload_max());
        Ok(Self { bucket, key, what, value_max, holder, revision: Mutex::default() })
    }

    /// The bucket.
    pub(in crate::control) fn bucket(&self) -> &Store {
        &self.bucket
    }

    /// Puts `text` there if nothing ever was. Whoever writes goes on.
    ///
    /// # Errors
    /// It may or may not stand there.
    pub(in crate::control) async fn begin(&self, text: &str) -> Result<(), NatsError> {
        let begun = self.bucket.update(self.key, self.value(text).into(), 0).await;
        let Err(error) = begun else { return Ok(()) };
        match self.bucket.entry(self.key).await {
            Ok(Some(_)) => Ok(()),
            _ => Err(self.failed("written", error)),
        }
    }

    /// What stands there, empty where nothing does. Whoever writes goes on.
    ///
    /// # Errors
    /// It cannot be read.
    pub(in crate::control) async fn look(&self) -> Result<String, NatsError> {
        Ok(self.read().await?.text)
    }

    /// The same, held by this process from now on. It is written as it stands, unless `check`
    /// refuses it.
    ///
    /// # Errors
    /// It cannot be read or written, or is refused.
    pub(in crate::control) async fn take<T>(
        &self,
        check: impl Fn(&str) -> Result<T, NatsError>,
    ) -> Result<T, NatsError> {
        let mut why = self.failed("taken over", "another process writes it");
        for _ in 0..TRIES {
            let Found { revision, text, .. } = self.read().await?;
            let taken = check(&text)?;
            match self.bucket.update(self.key, self.value(&text).into(), revision).await {
                Ok(revision) => {
                    *self.revision.lock().await = revision;
                    return Ok(taken);
                }
                Err(error) => why = self.failed("taken over", error),
            }
        }
        Err(why)
    }

    /// This process writes next, whatever stands there, damaged or not.
    ///
    /// # Errors
    /// The bucket does not answer.
    pub(in crate::control) async fn seize(&self) -> Result<(), NatsError> {
        let entry = self.bucket.entry(self.key).await;
        let entry = entry.map_err(|error| self.failed("read", error))?;
        *self.revision.lock().await = entry.map_or(0, |entry| entry.revision);
        Ok(())
    }

    /// Replaces what stands there.
    ///
    /// # Errors
    /// It may or may not stand there; another process may hold the key.
    pub(in crate::control) async fn put(&self, text: &str) -> Result<(), NatsError> {
        let value = self.value(text);
        self.check_size(value.len())?;
        let mut revision = self.revision.lock().await;
        let mut why = self.failed("written", "another process writes it");
        for _ in 0..2 {
            match self.bucket.update(self.key, value.clone().into(), *revision).await {
                Ok(written) => {
                    *revision = written;
                    return Ok(());
                }
                Err(error) => why = self.failed("written", error),
            }
            let found = self.read().await?;
            if found.holder != self.holder {
                break;
            }
            // An answer was lost, now or earlier; unless a server that lags shows what was there
            // before what this process knows of.
            if found.revision > *revision {
                *revision = found.revision;
                if found.text == text {
                    return Ok(());
                }
            }
        }
        Err(why)
    }

    /// Whether a value of so many bytes can be written.
    ///
    /// # Errors
    /// Why not.
    pub(in crate::control) fn check_size(&self, bytes: usize) -> Result<(), NatsError> {
        if bytes <= self.value_max {
            return Ok(());
        }
        let max = self.value_max;
        let why = format!(
            "{bytes} bytes are needed, and the servers take messages of up to {max}; expected a \
             higher max_payload"
        );
        Err(self.failed("written", why))
    }

    /// What cannot be done with what the key holds.
    pub(in crate::control) fn failed(&self, act: &str, why: impl Display) -> NatsError {
        NatsError::new(format!("{} cannot be {act}", self.what), why)
    }

    async fn read(&self) -> Result<Found, NatsError> {
        let entry = self.bucket.entry(self.key).await;
        let entry = entry.map_err(|error| self.failed("read", error))?;
        let Some(entry) = entry else { return Ok(Found::default()) };
        let revision = entry.revision;
        if entry.operation != Operation::Put {
            return Ok(Found { revision, ..Found::default() });
        }
        let value = std::str::from_utf8(&entry.value).ok().and_then(|text| text.split_once('\n'));
        let (holder, text) = value.ok_or_else(|| self.failed("read", "damaged"))?;
        Ok(Found { revision, holder: holder.to_owned(), text: text.to_owned() })
    }

    fn value(&self, text: &str) -> String {
        format!("{}\n{text}", self.holder)
    }
}

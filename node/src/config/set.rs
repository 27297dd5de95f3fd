//! CONFIG SET: several changes, all or none.

use std::sync::Arc;

use super::directive::{Access, Directive};
use super::value::Value;
use super::{Config, Key};

/// What is said of a directive that is not there, before its name and a quotation mark.
pub(crate) const UNKNOWN: &str = "Unknown option or number of arguments for CONFIG SET - '";

/// Why CONFIG SET changed nothing. The text is Redis's, after `ERR `.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// No such directive.
    #[error("{UNKNOWN}{}'", String::from_utf8_lossy(.0))]
    Unknown(Vec<u8>),
    /// A directive refused its value, or may not be set.
    #[error("CONFIG SET failed (possibly related to argument '{name}') - {reason}")]
    Failed {
        /// The directive, under the name it was called by.
        name: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// Puts a change into effect: called with the new values in place.
///
/// # Errors
/// What to tell the client when the change cannot be had; the old values come back, and the
/// appliers that had succeeded are called again with them.
pub type Applier = Box<dyn Fn(&Config) -> Result<(), String> + Send + Sync>;

pub(super) struct Registered {
    keys: Vec<Key>,
    apply: Applier,
}

/// A pair of CONFIG SET, checked.
struct Change {
    directive: &'static Directive,
    /// The name it was called by.
    name: &'static str,
}

impl Config {
    /// Calls `apply` whenever one of `keys` has been set, in the order of registration.
    pub fn on_change(&self, keys: &[Key], apply: Applier) {
        let registered = Arc::new(Registered {
            keys: keys.to_vec(),
            apply,
        });
        self.appliers.write().push(registered);
    }

    /// Sets directives, all or none. `local` says whether the client is on this machine, which
    /// protected directives may ask for.
    ///
    /// # Errors
    /// The first fault, in Redis's words.
    pub fn set(&self, pairs: &[(&[u8], &[u8])], local: bool) -> Result<(), SetError> {
        let changes = self.check(pairs, local)?;
        let _writer = self.writer.lock();
        let old = self.values.load_full();
        let mut new = (*old).clone();
        for (change, (_, word)) in changes.iter().zip(pairs) {
            let Some(slot) = new.get_mut(change.directive.key as usize) else {
                continue;
            };
            *slot = Value::parse(change.directive, slot, &[word])
                .and_then(|value| allowed(change.directive.key, value))
                .map_err(|reason| SetError::Failed {
                    name: change.name,
                    reason,
                })?;
        }
        self.publish(Arc::new(new));
        let applied = self.apply(&changes);
        if applied.is_err() {
            self.publish(old);
            // They succeeded with these values before.
            let _ = self.apply(&changes);
        }
        applied
    }

    /// REPLICAOF: what CONFIG GET shows, and CONFIG REWRITE writes, from now on.
    pub fn set_replicaof(&self, primary: Option<(String, u16)>) {
        let _writer = self.writer.lock();
        let mut new = (**self.values.load()).clone();
        if let Some(slot) = new.get_mut(Key::Replicaof as usize) {
            *slot = Value::ReplicaOf(primary);
        }
        self.publish(Arc::new(new));
    }

    /// Checks what does not depend on the values: that the directives exist and may be set.
    fn check(&self, pairs: &[(&[u8], &[u8])], local: bool) -> Result<Vec<Change>, SetError> {
        let mut changes: Vec<Change> = Vec::with_capacity(pairs.len());
        for (asked, _) in pairs {
            let known = std::str::from_utf8(asked).ok().and_then(|asked| {
                let directive = Directive::named(asked)?;
                let name = directive
                    .names()
                    .find(|name| name.eq_ignore_ascii_case(asked))?;
                Some(Change { directive, name })
            });
            let Some(change) = known else {
                return Err(SetError::Unknown(asked.to_vec()));
            };
            let reason = match change.directive.access {
                Access::Immutable => Some("can't set immutable config"),
                Access::Protected if !self.protected_configs().allows(local) => {
                    Some("can't set protected config")
                }
                _ if changes.iter().any(|earlier| earlier.name == change.name) => {
                    Some("duplicate parameter")
                }
                _ => None,
            };
            if let Some(reason) = reason {
                return Err(SetError::Failed {
                    name: change.name,
                    reason: reason.to_owned(),
                });
            }
            changes.push(change);
        }
        Ok(changes)
    }

    fn apply(&self, changes: &[Change]) -> Result<(), SetError> {
        // Copied out: an applier may take its time, and may register another.
        let appliers = self.appliers.read().clone();
        for registered in appliers {
            let cause = changes
                .iter()
                .find(|change| registered.keys.contains(&change.directive.key));
            if let Some(change) = cause {
                (registered.apply)(self).map_err(|reason| SetError::Failed {
                    name: change.name,
                    reason,
                })?;
            }
        }
        Ok(())
    }
}

/// Refuses values that would promise what is not there.
fn allowed(key: Key, value: Value) -> Result<Value, String> {
    match key {
        Key::TlsPort if value != Value::Number(0) => {
            Err("TLS is not supported by this version".to_owned())
        }
        Key::TlsReplication | Key::TlsCluster if value != Value::Number(0) => {
            Err("Unable to update TLS configuration. Check server logs.".to_owned())
        }
        Key::Activedefrag if value != Value::Number(0) => {
            Err("Active defragmentation cannot be enabled: this server does not have it".to_owned())
        }
        _ => Ok(value),
    }
}

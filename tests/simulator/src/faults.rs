//! Faults by a declared plan. The same plan and seed hit the same items, and the same share of
//! requests, in every run.

use crate::dice::{fraction, hash_text};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultPlan {
    #[serde(default)]
    pub seed: u64,
    #[serde(default)]
    pub rules: Vec<FaultRule>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// `*` stands for anything; compared with the end of the decoded path, so `messages/*/$value`
    /// hits every MIME download. Empty hits everything.
    #[serde(default, rename = "match")]
    pub pattern: String,
    #[serde(default)]
    pub method: Option<String>,
    pub kind: FaultKind,
    #[serde(default)]
    pub status: Option<u16>,
    /// Seconds.
    #[serde(default)]
    pub retry_after: Option<u64>,
    #[serde(default)]
    pub retry_after_form: RetryAfterForm,
    #[serde(default)]
    pub body: FaultBody,
    #[serde(default)]
    pub code: Option<String>,
    #[serde(default)]
    pub ms: Option<u64>,
    #[serde(default = "always")]
    pub probability: f64,
    /// Hits at most so many times.
    #[serde(default)]
    pub times: Option<u64>,
    /// Lets the first so many matching requests pass.
    #[serde(default)]
    pub after: u64,
    /// For faults of chosen items: only these, by internetMessageId, in drives by id.
    #[serde(default)]
    pub items: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    Status,
    Reset,
    CutBody,
    DelayMs,
    Vanish,
    Poison,
    ControlCharacters,
    ExpireDelta,
    DuplicateEntries,
    EmptyPages,
    RemovedFirst,
    IgnoreRange,
    ShortBody,
    WrongBytes,
    /// An upload session of a drive is forgotten.
    ExpireSession,
    /// What a request says of the property that `code` names is forgotten, such as `categories` or
    /// `item.fileSystemInfo`: the request goes well, and what it makes lacks it.
    ForgetProperty,
}

impl FaultKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Reset => "reset",
            Self::CutBody => "cut_body",
            Self::DelayMs => "delay_ms",
            Self::Vanish => "vanish",
            Self::Poison => "poison",
            Self::ControlCharacters => "control_characters",
            Self::ExpireDelta => "expire_delta",
            Self::DuplicateEntries => "duplicate_entries",
            Self::EmptyPages => "empty_pages",
            Self::RemovedFirst => "removed_first",
            Self::IgnoreRange => "ignore_range",
            Self::ShortBody => "short_body",
            Self::WrongBytes => "wrong_bytes",
            Self::ExpireSession => "expire_session",
            Self::ForgetProperty => "forget_property",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfterForm {
    #[default]
    Seconds,
    Date,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultBody {
    #[default]
    Json,
    Empty,
    Html,
}

fn always() -> f64 {
    1.0
}

/// A plan at work.
#[derive(Debug, Default)]
pub struct Faults {
    seed: u64,
    rules: Vec<Active>,
}

#[derive(Debug)]
struct Active {
    rule: FaultRule,
    seen: AtomicU64,
    hits: AtomicU64,
}

impl Faults {
    pub fn new(plan: FaultPlan) -> Self {
        let active = |rule| Active { rule, seen: AtomicU64::new(0), hits: AtomicU64::new(0) };
        Self { seed: plan.seed, rules: plan.rules.into_iter().map(active).collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub fn plan(&self) -> FaultPlan {
        FaultPlan { seed: self.seed, rules: self.rules.iter().map(|active| active.rule.clone()).collect() }
    }

    /// The first rule of one of these kinds that strikes this request.
    pub fn strike(&self, kinds: &[FaultKind], method: &str, path: &str) -> Option<FaultRule> {
        self.rules.iter().enumerate().find_map(|(index, active)| {
            let rule = &active.rule;
            if !kinds.contains(&rule.kind) || !rule.covers(method, path) {
                return None;
            }
            let seen = active.seen.fetch_add(1, Ordering::Relaxed);
            if seen < rule.after || fraction(&[self.seed, index as u64, seen]) >= rule.probability {
                return None;
            }
            active.take().then(|| rule.clone())
        })
    }

    /// Like `strike`, but the same item is struck every time or never.
    pub fn strike_item(&self, kind: FaultKind, method: &str, path: &str, internet_id: &str) -> Option<FaultRule> {
        self.rules.iter().enumerate().find_map(|(index, active)| {
            let rule = &active.rule;
            if rule.kind != kind || !rule.covers(method, path) {
                return None;
            }
            let chosen = if rule.items.is_empty() {
                fraction(&[self.seed, index as u64, hash_text(internet_id)]) < rule.probability
            } else {
                rule.items.iter().any(|item| item == internet_id)
            };
            (chosen && active.take()).then(|| rule.clone())
        })
    }
}

impl Active {
    fn take(&self) -> bool {
        let hits = self.hits.fetch_add(1, Ordering::Relaxed);
        self.rule.times.is_none_or(|times| hits < times)
    }
}

impl FaultRule {
    fn covers(&self, method: &str, path: &str) -> bool {
        self.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && matches_end(&self.pattern, path)
    }
}

/// True if the end of `path` has the form of `pattern`.
fn matches_end(pattern: &str, path: &str) -> bool {
    let Some((head, tail)) = pattern.rsplit_once('*') else {
        return path.ends_with(pattern);
    };
    let Some(mut rest) = path.strip_suffix(tail) else {
        return false;
    };
    for piece in head.split('*').rev().filter(|piece| !piece.is_empty()) {
        match rest.rfind(piece) {
            Some(at) => rest = &rest[..at],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::matches_end;

    #[test]
    fn patterns_match_the_end_of_a_path() {
        for (pattern, path, expected) in [
            ("messages/*/$value", "/users/u/messages/AAA=/$value", true),
            ("messages/*/$value", "/users/u/messages/AAA=", false),
            ("", "/users", true),
            ("/users", "/users", true),
            ("/users", "/users/u", false),
            ("mailFolders/*", "/users/u/mailFolders/inbox/messages/delta", true),
        ] {
            assert_eq!(matches_end(pattern, path), expected, "{pattern} {path}");
        }
    }
}

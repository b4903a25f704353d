//! The small things of a mailbox: its settings, its master list of categories, its inbox rules.

use serde_json::{Map, Value, json};

#[derive(Clone, Debug)]
pub struct Settings {
    pub time_zone: String,
    /// Locale and what it is called.
    pub language: (String, String),
    pub date_format: String,
    pub time_format: String,
    pub delegate_option: String,
    /// As Graph tells them.
    pub working_hours: Value,
    pub replies: Replies,
    pub categories: Vec<Category>,
    pub rules: Vec<Rule>,
    pub next_rule: u32,
}

#[derive(Clone, Debug)]
pub struct Replies {
    pub status: ReplyStatus,
    pub internal: String,
    pub external: String,
    /// Who outside hears the external text.
    pub audience: String,
    pub start: i64,
    pub end: i64,
}

impl Default for Replies {
    fn default() -> Self {
        let (internal, external) = (String::new(), String::new());
        Self { status: ReplyStatus::default(), internal, external, audience: "all".to_owned(), start: 0, end: 0 }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyStatus {
    #[default]
    Disabled,
    AlwaysEnabled,
    Scheduled,
}

impl ReplyStatus {
    const ALL: [Self; 3] = [Self::Disabled, Self::AlwaysEnabled, Self::Scheduled];

    pub fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::AlwaysEnabled => "alwaysEnabled",
            Self::Scheduled => "scheduled",
        }
    }

    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name().eq_ignore_ascii_case(name))
    }
}

#[derive(Clone, Debug)]
pub struct Category {
    pub id: String,
    pub name: String,
    /// `preset0` and so on; `None` is `none`.
    pub color: Option<u8>,
}

#[derive(Clone, Debug, Default)]
pub struct Rule {
    pub number: u32,
    pub name: String,
    /// Those with smaller numbers come first.
    pub sequence: u32,
    pub enabled: bool,
    /// As Graph tells them, and the following two.
    pub conditions: Map<String, Value>,
    pub actions: Map<String, Value>,
    pub exceptions: Map<String, Value>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            time_zone: "W. Europe Standard Time".to_owned(),
            language: ("en-US".to_owned(), "English (United States)".to_owned()),
            date_format: "dd.MM.yyyy".to_owned(),
            time_format: "HH:mm".to_owned(),
            delegate_option: "sendToDelegateOnly".to_owned(),
            working_hours: working_hours(8, 17),
            replies: Replies::default(),
            categories: Vec::new(),
            rules: Vec::new(),
            next_rule: 1,
        }
    }
}

impl Settings {
    /// A rule without a sequence goes to the end.
    pub fn add_rule(&mut self, mut rule: Rule) -> u32 {
        rule.number = self.next_rule;
        self.next_rule += 1;
        if rule.sequence == 0 {
            rule.sequence = 1 + self.rules.iter().map(|rule| rule.sequence).max().unwrap_or(0);
        }
        self.rules.push(rule);
        self.next_rule - 1
    }
}

/// Whole hours of the working days.
pub fn working_hours(from: u32, until: u32) -> Value {
    json!({
        "daysOfWeek": ["monday", "tuesday", "wednesday", "thursday", "friday"],
        "startTime": format!("{from:02}:00:00.0000000"),
        "endTime": format!("{until:02}:00:00.0000000"),
        "timeZone": {"name": "W. Europe Standard Time"},
    })
}

/// What is null is not there.
pub fn object(value: Value) -> Map<String, Value> {
    let Value::Object(mut all) = value else { return Map::new() };
    all.retain(|_, value| !value.is_null());
    all
}

//! The small things of a mailbox: its settings, its master list of categories, its inbox rules.

#[derive(Clone, Debug)]
pub struct Settings {
    pub time_zone: &'static str,
    /// Locale and what it is called.
    pub language: (&'static str, &'static str),
    /// Whole hours of the day.
    pub working_hours: (u32, u32),
    pub replies: Replies,
    pub categories: Vec<Category>,
    pub rules: Vec<Rule>,
    pub next_rule: u32,
}

#[derive(Clone, Debug, Default)]
pub struct Replies {
    pub status: ReplyStatus,
    pub internal: String,
    pub external: String,
    pub start: i64,
    pub end: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyStatus {
    #[default]
    Disabled,
    AlwaysEnabled,
    Scheduled,
}

impl ReplyStatus {
    pub fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::AlwaysEnabled => "alwaysEnabled",
            Self::Scheduled => "scheduled",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Category {
    pub id: String,
    pub name: String,
    /// `preset0` and so on.
    pub color: u8,
}

#[derive(Clone, Debug)]
pub struct Rule {
    pub number: u32,
    pub name: String,
    pub enabled: bool,
    pub subject_contains: Vec<String>,
    pub sender_contains: Vec<String>,
    /// A mail folder of the same mailbox.
    pub move_to: Option<u32>,
    pub mark_read: bool,
    pub categories: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            time_zone: "W. Europe Standard Time",
            language: ("en-US", "English (United States)"),
            working_hours: (8, 17),
            replies: Replies::default(),
            categories: Vec::new(),
            rules: Vec::new(),
            next_rule: 1,
        }
    }
}

impl Settings {
    pub fn add_rule(&mut self, mut rule: Rule) {
        rule.number = self.next_rule;
        self.next_rule += 1;
        self.rules.push(rule);
    }
}

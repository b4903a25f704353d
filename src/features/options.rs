//! What of each feature a policy wants captured. JSON by feature's name; what is not said has its default.

use serde::{Deserialize, Serialize};

/// The choices of one policy for all features.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureOptions {
    pub mailbox: MailboxOptions,
    pub calendar: CalendarOptions,
    pub contacts: ContactsOptions,
    pub onedrive: OneDriveOptions,
}

impl FeatureOptions {
    /// Reads the JSON of a policy.
    pub fn parse(json: &str) -> Result<Self, String> {
        serde_json::from_str(json).map_err(|err| format!("the options of the features cannot be read: {err}"))
    }

    /// The default choices but for one feature, for which `json` is what [`FeatureOptions::of`] said.
    pub fn only(feature: &str, json: &str) -> Result<Self, String> {
        if json.is_empty() { Ok(Self::default()) } else { Self::parse(&format!("{{\"{feature}\":{json}}}")) }
    }

    /// The choices for one feature as JSON; empty when they are the default ones.
    pub fn of(&self, feature: &str) -> String {
        let choices = |options: &Self| match serde_json::to_value(options) {
            Ok(all) => all.get(feature).map(ToString::to_string).unwrap_or_default(),
            Err(err) => unreachable!("options hold only what JSON can say: {err}"),
        };
        let (chosen, default) = (choices(self), choices(&Self::default()));
        if chosen == default { String::new() } else { chosen }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailboxOptions {
    /// The folder Deleted Items and all below it.
    pub deleted_items: bool,
    /// The folder Junk Email and all below it.
    pub junk: bool,
    /// What people deleted from Deleted Items and Exchange still keeps.
    pub recoverable_items: bool,
    /// Settings, categories and inbox rules.
    pub settings: bool,
}

impl Default for MailboxOptions {
    fn default() -> Self {
        Self { deleted_items: true, junk: true, recoverable_items: false, settings: true }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CalendarOptions {}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContactsOptions {
    pub photos: bool,
}

impl Default for ContactsOptions {
    fn default() -> Self {
        Self { photos: true }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OneDriveOptions {
    /// Who may see what: five of Microsoft's resource units for each shared item.
    pub permissions: bool,
    /// Without the dot, in any letter case.
    pub exclude_extensions: Vec<String>,
}

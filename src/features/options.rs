//! What of each feature a policy wants captured. JSON by feature's name; what is not said has its default.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::onedrive::{self, Versions};

/// Each task of a run carries the choices of its policy: they stay short.
const JSON_BYTES_MAX: usize = 8 << 10;
const NOT_AN_OBJECT: &str = "options are an object of features, such as {\"mailbox\": {\"junk\": false}}";

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
    /// Reads the JSON of a policy. What cannot be meant is told by the option's name and what it takes.
    pub fn parse(json: &str) -> Result<Self, String> {
        Self::of_json(&Value::Object(object(json)?))
    }

    /// The JSON of a policy after a change to some of its options: those named in `change`, by feature and name; `null`
    /// takes back what was chosen. What nobody chose stays unsaid, so that it goes with the default.
    pub fn changed(json: &str, change: &Value) -> Result<String, String> {
        let mut chosen = object(json)?;
        let Value::Object(features) = change else { return Err(NOT_AN_OBJECT.to_owned()) };
        for (feature, options) in features {
            let Value::Object(options) = options else {
                return Err(format!("the options of {feature} are an object of names and values, unlike {options}"));
            };
            let of_feature = chosen.entry(feature.clone()).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(of_feature) = of_feature else { return Err(NOT_AN_OBJECT.to_owned()) };
            for (name, value) in options {
                check_name(feature, name)?;
                match value {
                    Value::Null => drop(of_feature.remove(name)),
                    value => drop(of_feature.insert(name.clone(), value.clone())),
                }
            }
        }
        chosen.retain(|_, options| options.as_object().is_none_or(|options| !options.is_empty()));
        let chosen = Value::Object(chosen);
        Self::of_json(&chosen)?;
        let json = chosen.to_string();
        if json.len() > JSON_BYTES_MAX {
            return Err(format!("the options have {} bytes as JSON, more than {JSON_BYTES_MAX}", json.len()));
        }
        Ok(json)
    }

    /// Every option with its value, chosen or not.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("options hold only what JSON can say")
    }

    fn of_json(chosen: &Value) -> Result<Self, String> {
        // Serde tells what is wrong and not where: each option is read alone until the one is found.
        serde_json::from_value(chosen.clone()).map_err(|err| {
            let features = chosen.as_object().into_iter().flatten();
            let mut alone = features.flat_map(|(feature, options)| match options {
                Value::Object(options) => options.iter().map(|(name, value)| check(feature, name, value)).collect(),
                other => {
                    vec![Err(format!("the options of {feature} are an object of names and values, unlike {other}"))]
                }
            });
            let named = alone.find_map(Result::err);
            named.unwrap_or_else(|| format!("the options of the features cannot be read: {err}"))
        })
    }

    /// The default choices but for one feature, for which `json` is what [`FeatureOptions::of`] said.
    pub fn only(feature: &str, json: &str) -> Result<Self, String> {
        if json.is_empty() { Ok(Self::default()) } else { Self::parse(&format!("{{\"{feature}\":{json}}}")) }
    }

    /// The choices for one feature as JSON; empty when they are the default ones.
    pub fn of(&self, feature: &str) -> String {
        let choices = |options: &Self| options.to_json().get(feature).map(ToString::to_string).unwrap_or_default();
        let (chosen, default) = (choices(self), choices(&Self::default()));
        if chosen == default { String::new() } else { chosen }
    }
}

fn object(json: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(json) {
        Ok(Value::Object(features)) => Ok(features),
        Ok(_) => Err(NOT_AN_OBJECT.to_owned()),
        Err(err) => Err(format!("{NOT_AN_OBJECT}: {err}")),
    }
}

/// Whether a feature has an option of this name, and the option this value.
fn check(feature: &str, name: &str, value: &Value) -> Result<(), String> {
    let default = check_name(feature, name)?;
    let alone = Value::from_iter([(feature, Value::from_iter([(name, value.clone())]))]);
    serde_json::from_value::<FeatureOptions>(alone).map(drop).map_err(|err| {
        let takes = match default {
            Value::Bool(_) => "it is true or false".to_owned(),
            Value::Array(_) if is_list_of_texts(value) => err.to_string(),
            Value::Array(_) => "it is a list of texts, such as [\"one\", \"another\"]".to_owned(),
            Value::Number(_) => "it is a whole number".to_owned(),
            Value::Null | Value::String(_) | Value::Object(_) => err.to_string(),
        };
        format!("{feature}.{name} cannot be {value}: {takes}")
    })
}

fn is_list_of_texts(value: &Value) -> bool {
    value.as_array().is_some_and(|texts| texts.iter().all(Value::is_string))
}

/// The default of an option.
fn check_name(feature: &str, name: &str) -> Result<Value, String> {
    let all = FeatureOptions::default().to_json();
    let names = |of: &Value| of.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let Some(options) = all.get(feature) else {
        return Err(format!("there are no options of \"{feature}\"; there are of {}", names(&all).join(", ")));
    };
    options.get(name).cloned().ok_or_else(|| match names(options).as_slice() {
        [] => format!("{feature} has no options, so there is no {feature}.{name}"),
        names => format!("there is no option {feature}.{name}; {feature} has {}", names.join(", ")),
    })
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
    /// Exchange's own stream of each message beside its text: two more requests for each message, and about its length
    /// once more. Microsoft says that it is not meant for backups and offers it in the global cloud alone.
    pub exchange_streams: bool,
}

impl Default for MailboxOptions {
    fn default() -> Self {
        Self { deleted_items: true, junk: true, recoverable_items: false, settings: true, exchange_streams: false }
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
    /// Paths of folders from the drive's root, in any letter case, with `*` and `**`; empty: everything.
    #[serde(deserialize_with = "paths")]
    pub include_paths: Vec<String>,
    /// The same, of what is left out; it goes before what is included.
    #[serde(deserialize_with = "paths")]
    pub exclude_paths: Vec<String>,
    /// Which older versions of files: a number of them, the newest ones; `none`, or `all`.
    pub versions: Versions,
}

fn paths<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let paths = Vec::<String>::deserialize(from)?;
    paths.iter().try_for_each(|path| onedrive::check_path(path)).map_err(serde::de::Error::custom)?;
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_be_meant_is_told_by_the_name_of_the_option_and_what_it_takes() {
        for (json, says) in [
            (r#"{"mailbox":{"junk":"no"}}"#, &["mailbox.junk", "true or false"][..]),
            (r#"{"mailbox":{"junk":false,"jnuk":true}}"#, &["mailbox.jnuk", "deleted_items", "junk"]),
            (r#"{"mail":{}}"#, &["cannot be read", "mailbox"]),
            (r#"{"telepathy":{"far":true}}"#, &["telepathy", "mailbox", "onedrive"]),
            (r#"{"onedrive":{"exclude_extensions":"mp4"}}"#, &["onedrive.exclude_extensions", "list of texts"]),
            (r#"{"onedrive":{"include_paths":["Documents","/"]}}"#, &["onedrive.include_paths", "names no folder"]),
            (r#"{"onedrive":{"versions":"some"}}"#, &["onedrive.versions", "none, all, or a number"]),
            (r#"{"onedrive":true}"#, &["onedrive", "object"]),
            ("[]", &["object of features"]),
        ] {
            let told = FeatureOptions::parse(json).unwrap_err();
            assert!(says.iter().all(|part| told.contains(part)), "{json}: {told}");
        }
    }

    #[test]
    fn a_change_leaves_the_other_choices_alone_and_null_takes_one_back() {
        let before = r#"{"mailbox":{"junk":false},"onedrive":{"permissions":true}}"#;

        let after =
            FeatureOptions::changed(before, &json!({ "mailbox": { "junk": null, "settings": false } })).unwrap();
        let nothing = FeatureOptions::changed(r#"{"mailbox":{"junk":false}}"#, &json!({ "mailbox": { "junk": null } }));

        let after = FeatureOptions::parse(&after).unwrap();
        assert!(after.mailbox.junk && !after.mailbox.settings);
        assert!(after.onedrive.permissions);
        assert_eq!(nothing.unwrap(), "{}", "what goes with the default is not said");
    }

    #[test]
    fn a_change_that_cannot_be_meant_is_refused() {
        for (change, says) in [
            (json!({ "mailbox": { "jnuk": null } }), "mailbox.jnuk"),
            (json!({ "mailbox": { "junk": 7 } }), "true or false"),
            (json!({ "mailbox": 7 }), "object"),
            (json!({ "onedrive": { "exclude_extensions": ["x".repeat(JSON_BYTES_MAX)] } }), "bytes"),
        ] {
            let told = FeatureOptions::changed("{}", &change).unwrap_err();
            assert!(told.contains(says), "{told}");
        }
    }

    #[test]
    fn default_choices_are_the_same_as_none() {
        let said = FeatureOptions::parse(r#"{"mailbox":{"junk":true}}"#).unwrap();

        assert_eq!(said.of("mailbox"), "");
        assert_eq!(FeatureOptions::parse(r#"{"mailbox":{"junk":false}}"#).unwrap().of("onedrive"), "");
    }
}

//! `kodo policy`.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value};

use super::client::segment;
use super::exit::CliError;
use super::{Limit, Session};
use crate::api::Ref;
use crate::api::policies::{HandOutBody, KeepBody, NewPolicyBody, PolicyView};
use crate::catalog::Keep;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a policy
    Add(Add),
    /// List policies
    List(Limit),
    /// Show one policy with what it captures
    Show { policy: Ref },
    /// Change what a policy captures; the next run of each chain under it walks whole
    Set {
        policy: Ref,
        /// An option and its value, such as mailbox.junk=false, onedrive.permissions=true or mailbox.junk=default
        #[arg(required = true, value_name = "OPTION=VALUE", value_parser = Choice::parse)]
        choices: Vec<Choice>,
    },
    /// Allow or forbid that content of what is kept under a policy is looked at, downloaded and exported
    Content {
        policy: Ref,
        #[arg(value_enum)]
        download: Download,
    },
    /// Change for how long a policy keeps restore points
    Keep {
        policy: Ref,
        #[command(flatten)]
        rules: Rules,
        /// Keep every point, whatever its age
        #[arg(long, required_unless_present = "rule", conflicts_with = "rule")]
        everything: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Download {
    Allow,
    Forbid,
}

/// A point that one of these keeps is kept, and the newest one always. Days, weeks and months are those of UTC.
#[derive(Clone, Copy, Debug, Args)]
#[group(id = "rule", multiple = true)]
pub struct Rules {
    /// Keep the newest N points
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep_last: Option<u32>,
    /// Keep every point of the N days before the newest one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep_days: Option<u32>,
    /// Keep the newest point of each of the last N days that have one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep_daily: Option<u32>,
    /// The same for weeks, which begin on Monday
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep_weekly: Option<u32>,
    /// The same for months
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep_monthly: Option<u32>,
    /// The same for years
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep_yearly: Option<u32>,
}

impl From<Rules> for KeepBody {
    fn from(rules: Rules) -> Self {
        let number = |rule: Option<u32>| rule.unwrap_or(0);
        Self {
            last: number(rules.keep_last),
            days: number(rules.keep_days),
            daily: number(rules.keep_daily),
            weekly: number(rules.keep_weekly),
            monthly: number(rules.keep_monthly),
            yearly: number(rules.keep_yearly),
        }
    }
}

#[derive(Debug, Args)]
pub struct Add {
    name: String,
    /// Where backups are kept
    #[arg(long)]
    storage: Ref,
    /// May be left out where there is only one
    #[arg(long)]
    organization: Option<Ref>,
    /// For how long restore points are kept; without any rule all are.
    #[command(flatten)]
    rules: Rules,
    /// What to capture, such as onedrive.permissions=true; can be repeated. "kodo policy show" lists all options
    #[arg(long = "set", value_name = "OPTION=VALUE", value_parser = Choice::parse)]
    choices: Vec<Choice>,
}

/// An option of a feature with its value, as it is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    feature: String,
    name: String,
    /// `null` gives the option its default again.
    value: Value,
}

impl Choice {
    fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').and_then(|(option, value)| Some((option.split_once('.')?, value)));
        let Some(((feature, name), value)) = parts else {
            return Err("an option and its value look like mailbox.junk=false".to_owned());
        };
        let value = match value {
            "default" => Value::Null,
            // What is no JSON is a text that nobody put into quotes.
            value => serde_json::from_str(value).unwrap_or_else(|_| Value::from(value)),
        };
        Ok(Self { feature: feature.to_owned(), name: name.to_owned(), value })
    }

    /// By feature and name, as the API takes them.
    fn together(choices: Vec<Self>) -> Value {
        let mut all = Map::new();
        for Self { feature, name, value } in choices {
            let of_feature = all.entry(feature).or_insert_with(|| Value::Object(Map::new()));
            of_feature[name] = value;
        }
        Value::Object(all)
    }
}

pub async fn run(session: &Session, command: Command) -> Result<(), CliError> {
    match command {
        Command::Add(add) => {
            let body = NewPolicyBody {
                organization: add.organization,
                name: add.name,
                storage: add.storage,
                keep: add.rules.into(),
                options: Some(Choice::together(add.choices)),
            };
            let added: PolicyView = session.client.post("policies", &body).await?;
            session.out.done(&added, &format!("policy {} added: {}", added.id, added.name))
        }
        Command::List(Limit { limit }) => {
            let page = session.client.list::<PolicyView>("policies", &[], limit).await?;
            session.out.list(&page, &["id", "name", "organization", "storage", "keeps"], |view| {
                vec![
                    view.id.to_string(),
                    view.name.clone(),
                    view.organization_id.to_string(),
                    view.storage_id.to_string(),
                    Keep::from(view.keep).to_string(),
                ]
            })
        }
        Command::Show { policy } => {
            let path = format!("policies/{}", segment(&policy.to_path()));
            show(session, &session.client.get::<PolicyView>(&path, &[]).await?)
        }
        Command::Set { policy, choices } => {
            let path = format!("policies/{}/options", segment(&policy.to_path()));
            show(session, &session.client.post::<PolicyView>(&path, &Choice::together(choices)).await?)
        }
        Command::Content { policy, download } => {
            let path = format!("policies/{}/content", segment(&policy.to_path()));
            let body = HandOutBody { content_download: download == Download::Allow };
            show(session, &session.client.post::<PolicyView>(&path, &body).await?)
        }
        Command::Keep { policy, rules, everything: _ } => {
            let path = format!("policies/{}/retention", segment(&policy.to_path()));
            let changed: PolicyView = session.client.post(&path, &KeepBody::from(rules)).await?;
            session.out.done(&changed, &format!("policy {} keeps {}", changed.name, Keep::from(changed.keep)))
        }
    }
}

fn show(session: &Session, view: &PolicyView) -> Result<(), CliError> {
    let mut facts = vec![
        ("policy".to_owned(), format!("{}: {}", view.id, view.name)),
        ("organization".to_owned(), view.organization_id.to_string()),
        ("storage".to_owned(), view.storage_id.to_string()),
        ("keeps".to_owned(), Keep::from(view.keep).to_string()),
        ("content".to_owned(), if view.content_download { "is handed out" } else { "is not handed out" }.to_owned()),
    ];
    for (feature, options) in view.options.as_object().into_iter().flatten() {
        for (name, value) in options.as_object().into_iter().flatten() {
            facts.push((format!("{feature}.{name}"), value.to_string()));
        }
    }
    let facts: Vec<(&str, String)> = facts.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    session.out.facts(view, &facts)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn typed(texts: &[&str]) -> Result<Value, String> {
        Ok(Choice::together(texts.iter().map(|text| Choice::parse(text)).collect::<Result<_, _>>()?))
    }

    #[test]
    fn choices_are_gathered_by_feature_and_a_text_needs_no_quotes() {
        let all =
            typed(&["mailbox.junk=false", "mailbox.settings=default", "onedrive.exclude_extensions=all"]).unwrap();
        let last = typed(&[r#"onedrive.exclude_extensions=["mp4"]"#]).unwrap();

        assert_eq!(
            all,
            json!({ "mailbox": { "junk": false, "settings": null }, "onedrive": { "exclude_extensions": "all" } })
        );
        assert_eq!(last, json!({ "onedrive": { "exclude_extensions": ["mp4"] } }));
        assert!(typed(&["junk=false"]).is_err() && typed(&["mailbox.junk"]).is_err());
    }
}

//! Users of a tenant, whether the app may do its work, and whether a user has a mailbox.

use serde::Deserialize;
use serde_json::Value;

use super::GraphClient;
use super::endpoint::Endpoint;
use super::error::{Answer, GraphError};
use super::token::granted_roles;

const USER_PROPERTIES: &str = "id,displayName,userPrincipalName,mail,accountEnabled,userType,assignedLicenses,assignedPlans,onPremisesSyncEnabled";

/// A user as the directory lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryUser {
    pub id: String,
    pub display_name: String,
    pub user_principal_name: String,
    /// The primary address; `None` for users without one.
    pub mail: Option<String>,
    /// Shared mailboxes, rooms and blocked users are not enabled.
    pub account_enabled: bool,
    /// `Member` or `Guest`; old accounts have none.
    pub user_type: Option<String>,
    pub is_licensed: bool,
    /// An enabled Exchange plan. A shared mailbox has a mailbox without one.
    pub has_exchange_plan: bool,
    pub has_sharepoint_plan: bool,
    /// The account comes from an on-premises directory.
    pub on_premises_sync: bool,
}

/// One page of users, and where the next one is.
#[derive(Debug)]
pub struct UserPage {
    pub users: Vec<DirectoryUser>,
    pub next: Option<String>,
}

/// Something that keeps the app from its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    /// What is wrong and what to do.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// No backup is possible.
    Blocks,
    /// Backups work, restores do not, or not everywhere.
    Limits,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailboxState {
    Present,
    /// The text says why.
    Absent(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireUser {
    id: String,
    display_name: Option<String>,
    user_principal_name: Option<String>,
    mail: Option<String>,
    account_enabled: Option<bool>,
    user_type: Option<String>,
    assigned_licenses: Option<Vec<Value>>,
    assigned_plans: Option<Vec<WirePlan>>,
    on_premises_sync_enabled: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePlan {
    service: Option<String>,
    capability_status: Option<String>,
}

/// What each permission is for. Any one of a row is enough.
const ROLES: [(&[&str], Severity, &str); 4] = [
    (
        &["User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"],
        Severity::Blocks,
        "listing users",
    ),
    (&["Mail.ReadWrite", "Mail.Read"], Severity::Blocks, "backing up mail"),
    (&["Mail.ReadWrite"], Severity::Limits, "restoring mail"),
    (
        &["MailboxSettings.Read", "MailboxSettings.ReadWrite"],
        Severity::Limits,
        "backing up mailbox settings, categories and inbox rules",
    ),
];

impl GraphClient {
    /// A page of all users, guests included. `next` comes from the page before.
    pub async fn users(&self, next: Option<&str>) -> Result<UserPage, GraphError> {
        let call = match next {
            Some(link) => self.follow(Endpoint::Users, link)?,
            None => self.get(Endpoint::Users).query("$select", USER_PROPERTIES).query("$top", "999"),
        };
        let page = call.page().await?;
        let users = page.value.into_iter().map(user).collect::<Result<_, _>>()?;
        Ok(UserPage { users, next: page.next })
    }

    /// Whether this user has a mailbox that Graph reaches.
    pub async fn mailbox(&self, user: &str) -> Result<MailboxState, GraphError> {
        let inbox = Endpoint::MailFolder { user, folder: "inbox" };
        match self.get(inbox).query("$select", "id").done().await {
            Ok(()) => Ok(MailboxState::Present),
            Err(error @ (GraphError::NoService { .. } | GraphError::NotFound { .. })) => {
                Ok(MailboxState::Absent(error.to_string()))
            }
            Err(error) => Err(error),
        }
    }

    /// Looks whether the credentials work and what the app may do. An empty list: all is well. An error: Microsoft
    /// could not be asked.
    pub async fn check(&self) -> Result<Vec<Problem>, GraphError> {
        let token = match self.0.tokens.get().await {
            Ok(token) => token,
            Err(error @ GraphError::Login { .. }) => return Ok(vec![blocks(error.to_string())]),
            Err(error) => return Err(error),
        };
        let mut problems = match granted_roles(&token) {
            Some(roles) => missing_roles(&roles),
            None => Vec::new(),
        };
        let organization = self.get(Endpoint::Organization).query("$select", "id").done().await;
        problems.extend(problem(organization, Severity::Limits)?);
        let users = self.get(Endpoint::Users).query("$select", "id").query("$top", "1").done().await;
        problems.extend(problem(users, Severity::Blocks)?);
        Ok(problems)
    }
}

fn user(value: Value) -> Result<DirectoryUser, GraphError> {
    let wire: WireUser = serde_json::from_value(value).map_err(|error| {
        let answer = Answer::new(format!("GET {}", Endpoint::Users));
        GraphError::Protocol { answer: answer.with_message(format!("a user has an unexpected shape: {error}")) }
    })?;
    let plans = wire.assigned_plans.unwrap_or_default();
    let has_plan = |service: &str| {
        let is = |text: &Option<String>, wanted: &str| text.as_deref().is_some_and(|t| t.eq_ignore_ascii_case(wanted));
        plans.iter().any(|plan| is(&plan.service, service) && is(&plan.capability_status, "Enabled"))
    };
    Ok(DirectoryUser {
        has_exchange_plan: has_plan("exchange"),
        has_sharepoint_plan: has_plan("SharePoint"),
        display_name: wire.display_name.unwrap_or_default(),
        user_principal_name: wire.user_principal_name.unwrap_or_default(),
        mail: wire.mail.filter(|mail| !mail.is_empty()),
        account_enabled: wire.account_enabled.unwrap_or(true),
        user_type: wire.user_type,
        is_licensed: wire.assigned_licenses.is_some_and(|licenses| !licenses.is_empty()),
        on_premises_sync: wire.on_premises_sync_enabled.unwrap_or(false),
        id: wire.id,
    })
}

fn blocks(text: String) -> Problem {
    Problem { severity: Severity::Blocks, text }
}

/// What is wrong with the app is a problem to report; a service that does not answer is an error.
fn problem(outcome: Result<(), GraphError>, severity: Severity) -> Result<Option<Problem>, GraphError> {
    match outcome {
        Ok(()) => Ok(None),
        Err(error @ (GraphError::Forbidden { .. } | GraphError::NotFound { .. })) => {
            Ok(Some(Problem { severity, text: error.to_string() }))
        }
        Err(error @ GraphError::Login { .. }) => Ok(Some(blocks(error.to_string()))),
        Err(error) => Err(error),
    }
}

fn missing_roles(granted: &[String]) -> Vec<Problem> {
    let has = |role: &&str| granted.iter().any(|granted| granted == role);
    let missing = ROLES.iter().filter(|(roles, ..)| !roles.iter().any(has));
    missing
        .map(|(roles, severity, what)| {
            let role = roles[0];
            let text = format!(
                "the app has no permission for {what}: grant it the application permission {role} and admin consent; \
                 a mailbox permission given by RBAC for Applications does not show here"
            );
            Problem { severity: *severity, text }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_counts_when_it_is_enabled() {
        let plans = json!([
            {"service": "exchange", "capabilityStatus": "Deleted"},
            {"service": "SharePoint", "capabilityStatus": "Enabled"},
        ]);

        let user = user(json!({"id": "u", "displayName": null, "mail": "", "assignedPlans": plans})).unwrap();

        assert!(!user.has_exchange_plan && user.has_sharepoint_plan && !user.is_licensed);
        assert_eq!((user.mail, user.account_enabled), (None, true));
    }

    #[test]
    fn a_user_without_an_id_is_a_protocol_error() {
        assert!(matches!(user(json!({"displayName": "x"})), Err(GraphError::Protocol { .. })));
    }

    #[test]
    fn missing_permissions_are_named_with_what_they_are_for() {
        let granted = |roles: &[&str]| roles.iter().map(|role| (*role).to_owned()).collect::<Vec<_>>();

        assert_eq!(missing_roles(&granted(&["Directory.Read.All", "Mail.ReadWrite", "MailboxSettings.Read"])), []);
        let problems = missing_roles(&granted(&["User.Read.All", "Mail.Read", "MailboxSettings.Read"]));
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].severity, Severity::Limits);
        assert!(problems[0].text.contains("Mail.ReadWrite") && problems[0].text.contains("restoring mail"));
        assert_eq!(missing_roles(&[]).len(), 4);
    }
}

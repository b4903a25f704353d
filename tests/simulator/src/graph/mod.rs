//! Microsoft Graph v1.0: which route a path is, which role it needs, and who answers it.
//! One file per area; every handler is a plain function from request to answer.

pub mod attachments;
pub mod calendar;
pub mod contacts;
pub mod create;
pub mod delta;
pub mod drive;
pub mod exchange;
pub mod extended;
pub mod filter;
pub mod folder_delta;
pub mod folders;
pub mod input;
pub mod messages;
pub mod odata;
pub mod settings;
pub mod token;
pub mod users;
pub mod view;
pub mod walk;

use crate::app::{App, Grant, MailboxState, User};
use crate::reply::{Answer, Refusal};
use crate::request::Request;
use odata::Query;
use std::sync::Arc;

/// Everything a handler needs to know.
pub struct Call<'a> {
    pub app: &'a App,
    pub client_id: &'a str,
    pub request: &'a Request,
    pub query: Query,
    pub target: &'a Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    Organization,
    Users,
    UsersDelta,
    User,
    Settings(settings::Route),
    Folders,
    FolderDelta,
    Folder,
    ChildFolders,
    MoveFolder,
    Messages,
    MessagesDelta,
    Message,
    MessageValue,
    Move,
    Copy,
    PermanentDelete,
    PermanentDeleteFolder,
    Attachments,
    Attachment,
    AttachmentValue,
    UploadSession,
    Calendar(calendar::Route),
    Contacts(contacts::Route),
    Drive(drive::Route),
    Exchange(exchange::Route),
}

/// A path taken apart.
#[derive(Debug)]
pub struct Target {
    pub route: Route,
    pub template: String,
    pub user_name: String,
    pub user: Option<Arc<User>>,
    /// The folder, calendar or group of the path.
    pub folder: Option<String>,
    /// The message, event or contact of the path.
    pub message: Option<String>,
    pub attachment: Option<String>,
    pub drive: drive::Place,
}

/// Ways to make the mailbox write to somebody; a backup has no business there.
const SENDING: [&str; 11] = [
    "sendmail",
    "send",
    "reply",
    "replyall",
    "forward",
    "createreply",
    "createforward",
    "accept",
    "decline",
    "tentativelyaccept",
    "cancel",
];

/// What this path is, or None if there is no such thing.
pub fn find_target(request: &Request) -> Option<Target> {
    let lower: Vec<String> = request.segments.iter().skip(1).map(|s| s.to_ascii_lowercase()).collect();
    let words: Vec<&str> = lower.iter().map(String::as_str).collect();
    let segments = &request.segments[1..];
    let plain = |route, template: &str| Target {
        route,
        template: template.to_owned(),
        user_name: segments.get(1).cloned().unwrap_or_default(),
        user: None,
        folder: None,
        message: None,
        attachment: None,
        drive: drive::Place::default(),
    };
    match words.as_slice() {
        ["organization"] => Some(plain(Route::Organization, "/organization")),
        ["users"] => Some(plain(Route::Users, "/users")),
        ["users", "delta" | "microsoft.graph.delta"] => Some(plain(Route::UsersDelta, "/users/delta")),
        ["users", _] => Some(plain(Route::User, "/users/{id}")),
        ["users", _, "settings", "exchange"] => {
            Some(plain(Route::Exchange(exchange::Route::Settings), "/users/{id}/settings/exchange"))
        }
        ["admin", "exchange", rest @ ..] => exchange::target(plain(Route::User, ""), rest, &segments[2..]),
        ["users", _, "mailboxsettings"] => {
            Some(plain(Route::Settings(settings::Route::Mailbox), "/users/{id}/mailboxSettings"))
        }
        ["users", _, "outlook", "mastercategories"] => {
            Some(plain(Route::Settings(settings::Route::Categories), "/users/{id}/outlook/masterCategories"))
        }
        ["users", _, "outlook", "mastercategories", _] => {
            let category = Route::Settings(settings::Route::Category);
            let target = plain(category, "/users/{id}/outlook/masterCategories/{id}");
            Some(Target { message: Some(segments[4].clone()), ..target })
        }
        ["users", _, rest @ ..] if calendar::owns(rest) => {
            calendar::target(plain(Route::User, "/users/{id}"), rest, &segments[2..])
        }
        ["users", _, rest @ ..] if contacts::owns(rest) => {
            contacts::target(plain(Route::User, "/users/{id}"), rest, &segments[2..])
        }
        ["drives", ..] | ["users", _, "drive" | "drives", ..] => {
            drive::resolve(plain(Route::User, ""), &words, segments)
        }
        ["users", _, rest @ ..] => mail_target(plain(Route::User, "/users/{id}"), rest, &segments[2..]),
        _ => None,
    }
}

fn mail_target(mut target: Target, mut words: &[&str], mut segments: &[String]) -> Option<Target> {
    while let ["mailfolders" | "childfolders", id, rest @ ..] = words {
        if matches!(*id, "delta" | "microsoft.graph.delta") && rest.is_empty() {
            target.route = Route::FolderDelta;
            target.template.push_str("/mailFolders/delta");
            return Some(target);
        }
        target.folder = Some(segments[1].clone());
        target.template = "/users/{id}/mailFolders/{id}".into();
        (words, segments) = (rest, &segments[2..]);
    }
    let (route, tail) = match words {
        [] if target.folder.is_some() => (Route::Folder, ""),
        ["mailfolders"] if target.folder.is_none() => (Route::Folders, "/mailFolders"),
        ["childfolders"] => (Route::ChildFolders, "/childFolders"),
        ["move"] => (Route::MoveFolder, "/move"),
        ["permanentdelete"] if target.folder.is_some() => (Route::PermanentDeleteFolder, "/permanentDelete"),
        ["messagerules"] if target.folder.is_some() => (Route::Settings(settings::Route::Rules), "/messageRules"),
        ["messagerules", _] if target.folder.is_some() => {
            target.message = Some(segments[1].clone());
            (Route::Settings(settings::Route::Rule), "/messageRules/{id}")
        }
        ["messages"] => (Route::Messages, "/messages"),
        ["messages", "delta" | "microsoft.graph.delta"] => (Route::MessagesDelta, "/messages/delta"),
        ["messages", _, rest @ ..] => {
            target.message = Some(segments[1].clone());
            match rest {
                [] => (Route::Message, "/messages/{id}"),
                ["$value"] => (Route::MessageValue, "/messages/{id}/$value"),
                ["move"] => (Route::Move, "/messages/{id}/move"),
                ["copy"] => (Route::Copy, "/messages/{id}/copy"),
                ["permanentdelete"] => (Route::PermanentDelete, "/messages/{id}/permanentDelete"),
                ["attachments"] => (Route::Attachments, "/messages/{id}/attachments"),
                ["attachments", "createuploadsession"] => {
                    (Route::UploadSession, "/messages/{id}/attachments/createUploadSession")
                }
                ["attachments", _] => (Route::Attachment, "/messages/{id}/attachments/{id}"),
                ["attachments", _, "$value"] => (Route::AttachmentValue, "/messages/{id}/attachments/{id}/$value"),
                _ => return None,
            }
        }
        _ => return None,
    };
    if matches!(route, Route::Attachment | Route::AttachmentValue) {
        target.attachment = Some(segments[3].clone());
    }
    target.route = route;
    target.template.push_str(tail);
    Some(target)
}

/// Why an unknown path is worth a line in the log.
pub fn unknown_reason(request: &Request) -> (&'static str, String) {
    let last = request.segments.last().map(|s| s.to_ascii_lowercase()).unwrap_or_default();
    if SENDING.contains(&last.as_str()) {
        return ("sends_mail", format!("'{last}' would send mail to somebody"));
    }
    if request.segments.get(1).is_some_and(|s| s.eq_ignore_ascii_case("me")) {
        return ("unknown_route", "/me has no meaning for an application".into());
    }
    ("unknown_route", "no such route".into())
}

/// Roles any of which allows the request, and the error code of this area when none is there.
pub fn needed_roles(route: Route, method: &str) -> (&'static [&'static str], &'static str) {
    match route {
        Route::Organization => (&["Organization.Read.All", "Directory.Read.All"], "Authorization_RequestDenied"),
        Route::Users | Route::UsersDelta | Route::User => {
            (&["User.Read.All", "User.ReadWrite.All", "Directory.Read.All"], "Authorization_RequestDenied")
        }
        Route::Settings(_) if method == "GET" => {
            (&["MailboxSettings.Read", "MailboxSettings.ReadWrite"], "ErrorAccessDenied")
        }
        Route::Settings(_) => (&["MailboxSettings.ReadWrite"], "ErrorAccessDenied"),
        Route::Calendar(_) if method == "GET" => (&["Calendars.Read", "Calendars.ReadWrite"], "ErrorAccessDenied"),
        Route::Calendar(_) => (&["Calendars.ReadWrite"], "ErrorAccessDenied"),
        Route::Contacts(_) if method == "GET" => (&["Contacts.Read", "Contacts.ReadWrite"], "ErrorAccessDenied"),
        Route::Contacts(_) => (&["Contacts.ReadWrite"], "ErrorAccessDenied"),
        Route::Drive(_) => drive::needed_roles(method),
        Route::Exchange(exchange::Route::Settings) => (&exchange::ROLES, "ErrorAccessDenied"),
        Route::Exchange(exchange::Route::Export) => (&exchange::EXPORT_ROLES, "ErrorAccessDenied"),
        _ if method == "GET" => (&["Mail.Read", "Mail.ReadWrite"], "ErrorAccessDenied"),
        _ => (&["Mail.ReadWrite"], "ErrorAccessDenied"),
    }
}

pub fn is_mail(route: Route) -> bool {
    !matches!(route, Route::Organization | Route::Users | Route::UsersDelta | Route::User | Route::Drive(_))
}

/// The state of the mailbox decides before anything in it is looked at.
pub fn check_mailbox(user: &User) -> Result<(), Refusal> {
    match user.profile().mailbox {
        MailboxState::Ready => Ok(()),
        MailboxState::Unlicensed | MailboxState::OnPremises => Err(Refusal::new(
            404,
            "MailboxNotEnabledForRESTAPI",
            "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
        )),
        MailboxState::Denied => Err(Refusal::new(403, "ErrorAccessDenied", "Access to OData is disabled.")),
    }
}

pub fn answer(app: &App, grant: &Grant, target: &Target, request: &Request) -> Answer {
    let query = Query::parse(&request.raw_query)?;
    if query.expand.exceptions && !matches!(target.route, Route::Calendar(_)) {
        return Err(Refusal::new(400, "RequestBroker--ParseUri", "Only an event has exceptionOccurrences to expand."));
    }
    let call = Call { app, client_id: &grant.client_id, request, query, target };
    match (target.route, request.method.as_str()) {
        (Route::Organization, "GET") => users::organization(&call),
        (Route::Users, "GET") => users::list(&call),
        (Route::UsersDelta, "GET") => users::delta(&call),
        (Route::User, "GET") => users::one(&call),
        (Route::Settings(route), _) => settings::answer(&call, route),
        (Route::Calendar(route), _) => calendar::answer(&call, route),
        (Route::Contacts(route), _) => contacts::answer(&call, route),
        (Route::Folders | Route::ChildFolders, "GET") => folders::list(&call),
        (Route::Folders | Route::ChildFolders, "POST") => folders::create(&call),
        (Route::FolderDelta, "GET") => folder_delta::page(&call),
        (Route::Folder, "GET") => folders::one(&call),
        (Route::Folder, "PATCH") => folders::rename(&call),
        (Route::Folder, "DELETE") | (Route::PermanentDeleteFolder, "POST") => folders::delete(&call),
        (Route::MoveFolder, "POST") => folders::relocate(&call),
        (Route::Messages, "GET") => messages::list(&call),
        (Route::Messages, "POST") => create::create(&call),
        (Route::MessagesDelta, "GET") => delta::page(&call),
        (Route::Message, "GET") => messages::one(&call),
        (Route::Message, "PATCH") => messages::patch(&call),
        (Route::Message, "DELETE") => messages::delete(&call, messages::Deletion::Soft),
        (Route::MessageValue, "GET") => messages::value(&call),
        (Route::Move, "POST") => messages::relocate(&call),
        (Route::Copy, "POST") => messages::copy(&call),
        (Route::PermanentDelete, "POST") => messages::delete(&call, messages::Deletion::Hard),
        (Route::Attachments, "GET") => attachments::list(&call),
        (Route::Attachments, "POST") => attachments::create(&call),
        (Route::Attachment, "GET") => attachments::one(&call),
        (Route::Attachment, "DELETE") => attachments::delete(&call),
        (Route::AttachmentValue, "GET") => attachments::value(&call),
        (Route::UploadSession, "POST") => attachments::create_session(&call),
        (Route::Drive(route), _) => drive::answer(&call, route),
        (Route::Exchange(route), _) => exchange::answer(&call, route),
        _ => {
            call.violation("method_not_allowed", "this route has no such method");
            Err(Refusal::method())
        }
    }
}

impl Call<'_> {
    pub fn violation(&self, kind: &'static str, reason: impl Into<String>) {
        self.app.violation(kind, &self.request.method, &self.request.path, reason);
    }

    pub fn user(&self) -> Result<&User, Refusal> {
        self.target.user.as_deref().ok_or_else(|| user_not_found(&self.target.user_name))
    }

    /// Absolute URL of a path of this API.
    pub fn url(&self, path_and_query: &str) -> String {
        format!("{}/v1.0{path_and_query}", self.app.origin())
    }

    pub fn context(&self, of: &str) -> String {
        self.url(&format!("/$metadata#{of}"))
    }
}

pub fn user_not_found(name: &str) -> Refusal {
    let text =
        format!("Resource '{name}' does not exist or one of its queried reference-property objects are not present.");
    Refusal::new(404, "Request_ResourceNotFound", &text)
}

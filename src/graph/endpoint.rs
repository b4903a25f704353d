//! Which resource of Graph a request is about, and its URL.
//!
//! graph-rs-sdk builds each path once, around placeholders; ids are percent-encoded here, because the SDK leaves
//! `/`, `+` and `=` as they are and Exchange ids contain them.

use std::sync::LazyLock;

use graph_rs_sdk::GraphClient as Sdk;
use url::Url;

use super::drive::DriveEndpoint;
use super::drive_target::DriveTarget;
use super::exchange::Exchange;
use super::outlook::Outlook;
use super::settings_part::SettingsPart;

/// The preference for ids that survive a move between folders. It belongs to a request, not to a link: it must be
/// sent every time, and an id is understood only with the preference it was given out with.
pub const IMMUTABLE_IDS: &str = "IdType=\"ImmutableId\"";

/// A resource of Graph. Ids are the ones that Graph gave out, unencoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint<'a> {
    Organization,
    Users,
    /// The children of the root folder.
    MailFolders {
        user: &'a str,
    },
    /// Changes of folders at all levels.
    MailFoldersDelta {
        user: &'a str,
    },
    /// A folder by its id or its well-known name.
    MailFolder {
        user: &'a str,
        folder: &'a str,
    },
    /// Deletes a folder for good, with all in it.
    MailFolderEnd {
        user: &'a str,
        folder: &'a str,
    },
    ChildFolders {
        user: &'a str,
        folder: &'a str,
    },
    FolderMessages {
        user: &'a str,
        folder: &'a str,
    },
    FolderMessagesDelta {
        user: &'a str,
        folder: &'a str,
    },
    Message {
        user: &'a str,
        message: &'a str,
    },
    /// Takes a message to another folder.
    MessageMove {
        user: &'a str,
        message: &'a str,
    },
    /// The message as RFC 5322 text. The longer path through the folder is answered with 405.
    MessageMime {
        user: &'a str,
        message: &'a str,
    },
    Attachments {
        user: &'a str,
        message: &'a str,
    },
    AttachmentUpload {
        user: &'a str,
        message: &'a str,
    },
    Drive(DriveEndpoint<'a>),
    /// Where something is put into a drive.
    DriveTarget(DriveTarget<'a>),
    /// A calendar, a contact or what belongs to them.
    Outlook {
        user: &'a str,
        what: Outlook<'a>,
    },
    /// Import and export of a mailbox.
    Exchange {
        user: &'a str,
        what: Exchange<'a>,
    },
    MailboxSettings {
        user: &'a str,
    },
    MasterCategories {
        user: &'a str,
    },
    InboxRules {
        user: &'a str,
    },
    SettingsPart {
        user: &'a str,
        what: SettingsPart<'a>,
    },
    /// One attachment with its content in the JSON, if it is a file.
    Attachment {
        user: &'a str,
        message: &'a str,
        attachment: &'a str,
    },
    /// The bytes of a file, or the text of an attached item.
    AttachmentContent {
        user: &'a str,
        message: &'a str,
        attachment: &'a str,
    },
}

/// Whose limits a request counts against, and what waits when Microsoft says so.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Users, groups, organization: one bucket for each app and tenant.
    Directory,
    /// One mailbox.
    Mailbox(String),
    /// SharePoint and OneDrive: one bucket for each app and tenant.
    Drives,
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory => f.write_str("directory"),
            Self::Drives => f.write_str("drives"),
            Self::Mailbox(user) => write!(f, "mailbox:{user}"),
        }
    }
}

pub(super) const USER: &str = "KodoUser";
pub(super) const ID: &str = "KodoId";
/// Stands for the id of something inside of what [`ID`] stands for.
pub(super) const ID_WITHIN: &str = "KodoIdWithin";
/// Stands for names with slashes between them.
pub(super) const NAMES: &str = "KodoNames";

/// The paths as the SDK writes them, in the order of [`Endpoint::path`].
static PATHS: LazyLock<[Vec<String>; 19]> = LazyLock::new(|| {
    let sdk = Sdk::new("unused: nothing is sent by this client");
    [
        sdk.organizations().list_organization().url(),
        sdk.users().list_user().url(),
        sdk.user(USER).mail_folders().list_mail_folders().url(),
        sdk.user(USER).mail_folders().delta().url(),
        sdk.user(USER).mail_folder(ID).get_mail_folders().url(),
        sdk.user(USER).mail_folder(ID).child_folders().list_child_folders().url(),
        sdk.user(USER).mail_folder(ID).messages().list_messages().url(),
        sdk.user(USER).mail_folder(ID).messages().delta().url(),
        sdk.user(USER).message(ID).get_messages().url(),
        sdk.user(USER).message(ID).get_messages_content().url(),
        sdk.user(USER).message(ID).attachments().list_attachments().url(),
        sdk.user(USER).message(ID).attachments().create_upload_session(&serde_json::Value::Null).url(),
        sdk.user(USER).mailbox_settings().get_mailbox_settings().url(),
        sdk.user(USER).outlook().list_master_categories().url(),
        sdk.user(USER).mail_folder("inbox").list_message_rules().url(),
        sdk.user(USER).message(ID).attachment(ID_WITHIN).get_attachments().url(),
        sdk.user(USER).message(ID).attachment(ID_WITHIN).get_attachments_content().url(),
        sdk.user(USER).message(ID).move_message(&serde_json::Value::Null).url(),
        sdk.user(USER).mail_folder(ID).get_mail_folders().url().join("KodoId/permanentDelete").expect("a path"),
    ]
    .map(|url| segments(&url))
});

/// The path of a URL of the SDK without the version at its start.
pub(super) fn segments(url: &Url) -> Vec<String> {
    url.path_segments().into_iter().flatten().skip(1).map(str::to_owned).collect()
}

impl<'a> Endpoint<'a> {
    /// This resource below `base`.
    pub(super) fn url(&self, base: &Url) -> Url {
        let (path, [user, id, within]) = self.path();
        let mut text = base.as_str().trim_end_matches('/').to_owned();
        for segment in path {
            text.push('/');
            // What is called by its name stands between colons.
            let (segment, colon) = segment.strip_suffix(':').map_or((segment.as_str(), ""), |before| (before, ":"));
            match segment {
                USER => percent_encode(user, &mut text),
                ID => percent_encode(id, &mut text),
                ID_WITHIN => percent_encode(within, &mut text),
                NAMES => encode(within, b"-_.~/", &mut text),
                fixed => text.push_str(fixed),
            }
            text.push_str(colon);
        }
        Url::parse(&text).expect("a valid base with encoded segments is a URL")
    }

    /// The family of application permissions that lets an app read this of a mailbox.
    pub(super) fn permission(&self) -> &'static str {
        match self {
            Self::Outlook { what, .. } => what.permission(),
            Self::Exchange { .. } => "MailboxItem",
            Self::MailboxSettings { .. }
            | Self::MasterCategories { .. }
            | Self::InboxRules { .. }
            | Self::SettingsPart { .. } => "MailboxSettings",
            _ => "Mail",
        }
    }

    pub fn scope(&self) -> Scope {
        match self {
            Self::Organization | Self::Users => Scope::Directory,
            Self::Drive(_) | Self::DriveTarget(_) => Scope::Drives,
            mailbox => Scope::Mailbox(mailbox.path().1[0].to_owned()),
        }
    }

    /// What a request costs in the unit in which its scope is limited.
    pub(super) fn units(&self) -> u64 {
        match self {
            Self::Drive(drive) => drive.units(),
            Self::DriveTarget(target) => target.units(),
            _ => 1,
        }
    }

    /// The segments of its path, and the ids that stand for the placeholders in them.
    fn path(&self) -> (&'static [String], [&'a str; 3]) {
        let (row, ids) = match *self {
            Self::Drive(drive) => return drive.path(),
            Self::DriveTarget(target) => return target.path(),
            Self::Organization => (0, ("", "")),
            Self::Users => (1, ("", "")),
            Self::MailFolders { user } => (2, (user, "")),
            Self::MailFoldersDelta { user } => (3, (user, "")),
            Self::MailFolder { user, folder } => (4, (user, folder)),
            Self::ChildFolders { user, folder } => (5, (user, folder)),
            Self::FolderMessages { user, folder } => (6, (user, folder)),
            Self::FolderMessagesDelta { user, folder } => (7, (user, folder)),
            Self::Message { user, message } => (8, (user, message)),
            Self::MessageMime { user, message } => (9, (user, message)),
            Self::Attachments { user, message } => (10, (user, message)),
            Self::AttachmentUpload { user, message } => (11, (user, message)),
            Self::Outlook { user, what } => {
                let (path, (id, within)) = what.path();
                return (path, [user, id, within]);
            }
            Self::Exchange { user, what } => {
                let (path, id) = what.path();
                return (path, [user, id, ""]);
            }
            Self::SettingsPart { user, what } => {
                let (path, id) = what.path();
                return (path, [user, id, ""]);
            }
            Self::MailboxSettings { user } => (12, (user, "")),
            Self::MasterCategories { user } => (13, (user, "")),
            Self::InboxRules { user } => (14, (user, "")),
            Self::Attachment { user, message, .. } => (15, (user, message)),
            Self::AttachmentContent { user, message, .. } => (16, (user, message)),
            Self::MessageMove { user, message } => (17, (user, message)),
            Self::MailFolderEnd { user, folder } => (18, (user, folder)),
        };
        (&PATHS[row], [ids.0, ids.1, self.part()])
    }

    /// The id within the resource that [`Self::row`] names; empty for most.
    fn part(&self) -> &'a str {
        if let Self::Attachment { attachment, .. } | Self::AttachmentContent { attachment, .. } = *self {
            attachment
        } else {
            ""
        }
    }
}

/// For error texts: what, by ids that mean nothing to an outsider.
impl std::fmt::Display for Endpoint<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Organization => write!(f, "the organization"),
            Self::Users => write!(f, "the list of users"),
            Self::MailFolders { user } => write!(f, "the mail folders of user {user}"),
            Self::MailFoldersDelta { user } => write!(f, "the changes of mail folders of user {user}"),
            Self::MailFolder { user, folder } => write!(f, "mail folder {folder} of user {user}"),
            Self::MailFolderEnd { user, folder } => write!(f, "the end of mail folder {folder} of user {user}"),
            Self::ChildFolders { user, folder } => write!(f, "the folders in mail folder {folder} of user {user}"),
            Self::FolderMessages { user, folder } => write!(f, "the messages in mail folder {folder} of user {user}"),
            Self::FolderMessagesDelta { user, folder } => {
                write!(f, "the changes in mail folder {folder} of user {user}")
            }
            Self::Message { user, message } => write!(f, "message {message} of user {user}"),
            Self::MessageMove { user, message } => write!(f, "the move of message {message} of user {user}"),
            Self::MessageMime { user, message } => write!(f, "the MIME text of message {message} of user {user}"),
            Self::Attachments { user, message } => write!(f, "the attachments of message {message} of user {user}"),
            Self::AttachmentUpload { user, message } => {
                write!(f, "the upload of an attachment to message {message} of user {user}")
            }
            Self::Drive(drive) => drive.fmt(f),
            Self::DriveTarget(target) => target.fmt(f),
            Self::Outlook { user, what } => write!(f, "{what} of user {user}"),
            Self::Exchange { user, what } => write!(f, "{what} of user {user}"),
            Self::MailboxSettings { user } => write!(f, "the mailbox settings of user {user}"),
            Self::MasterCategories { user } => write!(f, "the categories of user {user}"),
            Self::InboxRules { user } => write!(f, "the inbox rules of user {user}"),
            Self::SettingsPart { user, what } => write!(f, "{what} of user {user}"),
            Self::Attachment { user, message, attachment } => {
                write!(f, "attachment {attachment} of message {message} of user {user}")
            }
            Self::AttachmentContent { user, message, attachment } => {
                write!(f, "the content of attachment {attachment} of message {message} of user {user}")
            }
        }
    }
}

fn percent_encode(text: &str, into: &mut String) {
    encode(text, b"-_.~", into);
}

/// Appends `name=value` to a query, with the signs that OData uses left readable.
pub(super) fn append_query(query: &mut String, name: &str, value: &str) {
    if !query.is_empty() {
        query.push('&');
    }
    encode(name, b"-_.~$", query);
    query.push('=');
    encode(value, b"-_.~$,()'/:@;*=", query);
}

fn encode(text: &str, plain: &[u8], into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(endpoint: Endpoint<'_>) -> String {
        endpoint.url(&Url::parse("http://127.0.0.1:8080/v1.0").unwrap()).to_string()
    }

    #[test]
    fn every_resource_has_its_own_path_below_the_base() {
        let (user, folder, message) = ("u", "f", "m");
        for (endpoint, expected) in [
            (Endpoint::Organization, "/organization"),
            (Endpoint::Users, "/users"),
            (Endpoint::MailFolders { user }, "/users/u/mailFolders"),
            (Endpoint::MailFoldersDelta { user }, "/users/u/mailFolders/delta()"),
            (Endpoint::MailFolder { user, folder }, "/users/u/mailFolders/f"),
            (Endpoint::MailFolderEnd { user, folder }, "/users/u/mailFolders/f/permanentDelete"),
            (Endpoint::ChildFolders { user, folder }, "/users/u/mailFolders/f/childFolders"),
            (Endpoint::FolderMessages { user, folder }, "/users/u/mailFolders/f/messages"),
            (Endpoint::FolderMessagesDelta { user, folder }, "/users/u/mailFolders/f/messages/delta()"),
            (Endpoint::Message { user, message }, "/users/u/messages/m"),
            (Endpoint::MessageMime { user, message }, "/users/u/messages/m/$value"),
            (Endpoint::MessageMove { user, message }, "/users/u/messages/m/move"),
            (Endpoint::Attachments { user, message }, "/users/u/messages/m/attachments"),
            (Endpoint::AttachmentUpload { user, message }, "/users/u/messages/m/attachments/createUploadSession"),
            (Endpoint::MailboxSettings { user }, "/users/u/mailboxSettings"),
            (Endpoint::MasterCategories { user }, "/users/u/outlook/masterCategories"),
            (Endpoint::InboxRules { user }, "/users/u/mailFolders/inbox/messageRules"),
            (Endpoint::Attachment { user, message, attachment: "a+" }, "/users/u/messages/m/attachments/a%2B"),
            (
                Endpoint::AttachmentContent { user, message, attachment: "a" },
                "/users/u/messages/m/attachments/a/$value",
            ),
        ] {
            assert_eq!(path(endpoint), format!("http://127.0.0.1:8080/v1.0{expected}"));
        }
    }

    #[test]
    fn signs_in_an_id_do_not_change_the_path() {
        let endpoint = Endpoint::Message { user: "o'neil+x@a.b", message: "AA/k+L?g#%==" };

        assert_eq!(
            path(endpoint),
            "http://127.0.0.1:8080/v1.0/users/o%27neil%2Bx%40a.b/messages/AA%2Fk%2BL%3Fg%23%25%3D%3D"
        );
    }

    #[test]
    fn a_query_value_is_encoded_once_and_stays_readable() {
        let mut query = String::new();
        append_query(&mut query, "$select", "id,subject");
        append_query(&mut query, "$filter", "id eq 'a&b+c'");

        assert_eq!(query, "$select=id,subject&$filter=id%20eq%20'a%26b%2Bc'");
    }
}

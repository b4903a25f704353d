//! Calendars and contacts of a mailbox: which of them a request is about, and its path.

use std::fmt;
use std::sync::LazyLock;

use graph_rs_sdk::GraphClient as Sdk;
use url::Url;

use super::endpoint::{ID, ID_WITHIN, USER, segments};

/// Calendars, events, contact folders and contacts of one user. Ids are the ones that Graph gave out, unencoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook<'a> {
    /// Own calendars and those that others share with the user.
    Calendars,
    Calendar {
        calendar: &'a str,
    },
    /// Single events and series of a calendar, not the occurrences.
    Events {
        calendar: &'a str,
    },
    EventsDelta {
        calendar: &'a str,
    },
    /// A single event, a series, or an exception of one.
    Event {
        event: &'a str,
    },
    /// The same, if this calendar has it.
    CalendarEvent {
        calendar: &'a str,
        event: &'a str,
    },
    EventAttachments {
        event: &'a str,
    },
    EventAttachment {
        event: &'a str,
        attachment: &'a str,
    },
    /// A file's bytes; an attached item as a file.
    EventAttachmentContent {
        event: &'a str,
        attachment: &'a str,
    },
    EventAttachmentUpload {
        event: &'a str,
    },
    /// What a series has in a window of time.
    EventInstances {
        event: &'a str,
    },
    /// Contact folders beside the default one.
    ContactFolders,
    /// The same at all levels.
    ContactFoldersDelta,
    /// A contact folder by its id; the default one is called `contacts`.
    ContactFolder {
        folder: &'a str,
    },
    ContactChildFolders {
        folder: &'a str,
    },
    Contacts {
        folder: &'a str,
    },
    ContactsDelta {
        folder: &'a str,
    },
    Contact {
        contact: &'a str,
    },
    ContactPhoto {
        contact: &'a str,
    },
}

/// The paths in the order of [`Outlook::row`], as the SDK writes them; it knows nothing of an event's attachments.
static PATHS: LazyLock<[Vec<String>; 19]> = LazyLock::new(|| {
    let sdk = Sdk::new("unused: nothing is sent by this client");
    let user = || sdk.user(USER);
    let below = |url: Url, more: &[&str]| {
        let mut path = segments(&url);
        path.extend(more.iter().map(|segment| (*segment).to_owned()));
        path
    };
    let event = || user().event(ID).get_events().url();
    [
        below(user().calendars().list_calendars().url(), &[]),
        below(user().calendar(ID).list_events().url(), &[]),
        below(user().calendar(ID).delta().url(), &[]),
        below(event(), &[]),
        below(event(), &["attachments"]),
        below(event(), &["attachments", ID_WITHIN]),
        below(event(), &["attachments", ID_WITHIN, "$value"]),
        below(user().contact_folders().list_contact_folders().url(), &[]),
        below(user().contact_folders().delta().url(), &[]),
        below(user().contact_folder(ID).get_contact_folders().url(), &[]),
        below(user().contact_folder(ID).child_folders().list_child_folders().url(), &[]),
        below(user().contact_folder(ID).contacts().list_contacts().url(), &[]),
        below(user().contact_folder(ID).contacts().delta().url(), &[]),
        below(user().contact(ID).get_contacts().url(), &[]),
        below(user().contact(ID).get_photo_content().url(), &[]),
        below(event(), &["attachments", "createUploadSession"]),
        below(event(), &["instances"]),
        below(user().calendar(ID).list_events().url(), &[ID_WITHIN]),
        below(user().calendars().list_calendars().url(), &[ID]),
    ]
});

impl<'a> Outlook<'a> {
    /// The segments of the path, and the ids that stand in it.
    pub(super) fn path(self) -> (&'static [String], (&'a str, &'a str)) {
        let (row, ids) = self.row();
        (&PATHS[row], ids)
    }

    /// The family of application permissions that lets an app read this.
    pub(super) fn permission(self) -> &'static str {
        if matches!(self.row().0, 0..7 | 15..19) { "Calendars" } else { "Contacts" }
    }

    fn row(self) -> (usize, (&'a str, &'a str)) {
        match self {
            Self::Calendars => (0, ("", "")),
            Self::Events { calendar } => (1, (calendar, "")),
            Self::EventsDelta { calendar } => (2, (calendar, "")),
            Self::Event { event } => (3, (event, "")),
            Self::EventAttachments { event } => (4, (event, "")),
            Self::EventAttachment { event, attachment } => (5, (event, attachment)),
            Self::EventAttachmentContent { event, attachment } => (6, (event, attachment)),
            Self::ContactFolders => (7, ("", "")),
            Self::ContactFoldersDelta => (8, ("", "")),
            Self::ContactFolder { folder } => (9, (folder, "")),
            Self::ContactChildFolders { folder } => (10, (folder, "")),
            Self::Contacts { folder } => (11, (folder, "")),
            Self::ContactsDelta { folder } => (12, (folder, "")),
            Self::Contact { contact } => (13, (contact, "")),
            Self::ContactPhoto { contact } => (14, (contact, "")),
            Self::EventAttachmentUpload { event } => (15, (event, "")),
            Self::EventInstances { event } => (16, (event, "")),
            Self::CalendarEvent { calendar, event } => (17, (calendar, event)),
            Self::Calendar { calendar } => (18, (calendar, "")),
        }
    }
}

/// For error texts: what, by ids that mean nothing to an outsider.
impl fmt::Display for Outlook<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calendars => write!(f, "the calendars"),
            Self::Calendar { calendar } => write!(f, "calendar {calendar}"),
            Self::Events { calendar } => write!(f, "the events in calendar {calendar}"),
            Self::EventsDelta { calendar } => write!(f, "the changes in calendar {calendar}"),
            Self::Event { event } => write!(f, "event {event}"),
            Self::EventAttachments { event } => write!(f, "the attachments of event {event}"),
            Self::EventAttachment { event, attachment } => write!(f, "attachment {attachment} of event {event}"),
            Self::EventAttachmentContent { event, attachment } => {
                write!(f, "the content of attachment {attachment} of event {event}")
            }
            Self::EventAttachmentUpload { event } => write!(f, "the upload of an attachment to event {event}"),
            Self::CalendarEvent { calendar, event } => write!(f, "event {event} in calendar {calendar}"),
            Self::EventInstances { event } => write!(f, "the occurrences of event {event}"),
            Self::ContactFolders => write!(f, "the contact folders"),
            Self::ContactFoldersDelta => write!(f, "the changes of contact folders"),
            Self::ContactFolder { folder } => write!(f, "contact folder {folder}"),
            Self::ContactChildFolders { folder } => write!(f, "the folders in contact folder {folder}"),
            Self::Contacts { folder } => write!(f, "the contacts in contact folder {folder}"),
            Self::ContactsDelta { folder } => write!(f, "the changes in contact folder {folder}"),
            Self::Contact { contact } => write!(f, "contact {contact}"),
            Self::ContactPhoto { contact } => write!(f, "the photo of contact {contact}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Endpoint;

    #[test]
    fn every_calendar_and_contact_resource_has_its_own_path_and_permission() {
        let base = Url::parse("http://127.0.0.1:8080/v1.0").unwrap();
        let (calendar, event, attachment, folder, contact) = ("c", "e", "a", "f", "p");
        for (what, expected, permission) in [
            (Outlook::Calendars, "calendars", "Calendars"),
            (Outlook::Calendar { calendar }, "calendars/c", "Calendars"),
            (Outlook::Events { calendar }, "calendars/c/events", "Calendars"),
            (Outlook::EventsDelta { calendar }, "calendars/c/events/delta()", "Calendars"),
            (Outlook::Event { event }, "events/e", "Calendars"),
            (Outlook::EventAttachments { event }, "events/e/attachments", "Calendars"),
            (Outlook::EventAttachment { event, attachment }, "events/e/attachments/a", "Calendars"),
            (Outlook::EventAttachmentContent { event, attachment }, "events/e/attachments/a/$value", "Calendars"),
            (Outlook::EventAttachmentUpload { event }, "events/e/attachments/createUploadSession", "Calendars"),
            (Outlook::CalendarEvent { calendar, event }, "calendars/c/events/e", "Calendars"),
            (Outlook::EventInstances { event }, "events/e/instances", "Calendars"),
            (Outlook::ContactFolders, "contactFolders", "Contacts"),
            (Outlook::ContactFoldersDelta, "contactFolders/delta()", "Contacts"),
            (Outlook::ContactFolder { folder }, "contactFolders/f", "Contacts"),
            (Outlook::ContactChildFolders { folder }, "contactFolders/f/childFolders", "Contacts"),
            (Outlook::Contacts { folder }, "contactFolders/f/contacts", "Contacts"),
            (Outlook::ContactsDelta { folder }, "contactFolders/f/contacts/delta()", "Contacts"),
            (Outlook::Contact { contact }, "contacts/p", "Contacts"),
            (Outlook::ContactPhoto { contact }, "contacts/p/photo/$value", "Contacts"),
        ] {
            let url = Endpoint::Outlook { user: "u", what }.url(&base);
            assert_eq!(url.as_str(), format!("http://127.0.0.1:8080/v1.0/users/u/{expected}"));
            assert_eq!(what.permission(), permission);
        }
    }
}

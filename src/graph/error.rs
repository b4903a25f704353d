//! What went wrong with a request, told apart by what to do about it.

use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;

use super::endpoint::Endpoint;

/// A request that did not succeed, after the retries that are safe.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GraphError {
    /// Wait and come back: snooze the task, count no attempt.
    #[error("{answer}: Microsoft asks to wait {} s", .retry_after.as_secs())]
    Throttled { retry_after: Duration, answer: Answer },
    /// It failed again and again, and may work later.
    #[error("{answer} (tried {attempts} times): it is tried again later")]
    Transient { attempts: u32, answer: Answer },
    /// A request that creates something broke off: it may have been carried out. Look before it is sent again.
    #[error("{answer}: it is not known whether it was carried out")]
    Ambiguous { answer: Answer },
    /// The credentials, the app or the tenant must be put right; nothing works until then.
    #[error("{answer}: {remedy}")]
    Login { remedy: String, answer: Answer },
    /// The app may not do this; others of its permissions may still work.
    #[error("{answer}: {remedy}")]
    Forbidden { remedy: String, answer: Answer },
    /// This user has no mailbox or drive (or it is on premises, or unlicensed): not a failure.
    #[error("{answer}: {reason}")]
    NoService { reason: &'static str, answer: Answer },
    #[error("{answer}: it does not exist, or no longer")]
    NotFound { answer: Answer },
    /// The token of a walk has expired: start over and compare.
    #[error("{answer}: the walk must start over")]
    Resync { answer: Answer },
    /// Microsoft cannot hand out, or take, this one item.
    #[error("{answer}: this item alone is affected; it is tried again on the next run")]
    BadItem { answer: Answer },
    /// Something of that name, or a newer state, is there already.
    #[error("{answer}: it is there already, or was changed meanwhile")]
    Conflict { answer: Answer },
    #[error("{answer}: make room in the target, or raise its quota")]
    Quota { answer: Answer },
    #[error("{answer}: it is larger than Microsoft accepts in one request")]
    TooLarge { answer: Answer },
    #[error("{answer}: it is locked; ask who holds the lock")]
    Locked { answer: Answer },
    /// Microsoft does not accept the request as it is: a defect here, or a change there.
    #[error("{answer}: the request is not accepted; report this with the request id")]
    Refused { answer: Answer },
    /// The answer does not have the shape that Graph's answers have.
    #[error("{answer}: the answer cannot be understood; report this with the request id")]
    Protocol { answer: Answer },
}

/// What is known about a failed request. Never a token, a subject or a body.
#[derive(Debug, Clone, Default)]
pub struct Answer(Box<Details>);

#[derive(Debug, Clone, Default)]
struct Details {
    request: String,
    status: Option<u16>,
    code: String,
    inner_code: String,
    message: String,
    request_id: String,
}

impl Answer {
    pub(super) fn new(request: String) -> Self {
        Self(Box::new(Details { request, ..Details::default() }))
    }

    pub(super) fn with_message(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    pub(super) fn with_status(mut self, status: StatusCode, error: ErrorBody, request_id: String) -> Self {
        self.0.status = Some(status.as_u16());
        self.0.request_id = request_id;
        self.0.code = error.code;
        self.0.inner_code = error.inner_code;
        self.0.message = error.message;
        self
    }

    /// The HTTP status; `None` when no answer came.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// Graph's error code, the more specific one where there are two.
    pub fn code(&self) -> &str {
        if self.0.inner_code.is_empty() { &self.0.code } else { &self.0.inner_code }
    }

    /// Whether Graph said `code`, outside or inside, in whatever case.
    pub fn says(&self, code: &str) -> bool {
        self.0.code.eq_ignore_ascii_case(code) || self.0.inner_code.eq_ignore_ascii_case(code)
    }

    /// Graph's `request-id`, for Microsoft's support; empty when no answer came.
    pub fn request_id(&self) -> &str {
        &self.0.request_id
    }

    /// Whether Microsoft found malware in what was asked for.
    pub fn tells_of_malware(&self) -> bool {
        self.says_any(&MALWARE_CODES)
    }

    fn says_any(&self, codes: &[&str]) -> bool {
        codes.iter().any(|code| self.says(code))
    }

    fn starts_with(&self, prefix: &str) -> bool {
        let starts = |code: &str| code.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
        starts(&self.0.code) || starts(&self.0.inner_code)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { request, status, code, inner_code, message, request_id } = &*self.0;
        write!(f, "{request}")?;
        if let Some(status) = status {
            write!(f, ": status {status}")?;
        }
        for code in [code, inner_code] {
            if !code.is_empty() {
                write!(f, " {code}")?;
            }
        }
        if !message.is_empty() {
            write!(f, ": {message}")?;
        }
        if !request_id.is_empty() {
            write!(f, " (request-id {request_id})")?;
        }
        Ok(())
    }
}

impl GraphError {
    /// An answer about `endpoint` that does not have the shape it should have.
    pub fn protocol(endpoint: Endpoint<'_>, message: &str) -> Self {
        Self::Protocol { answer: Answer::new(format!("reading {endpoint}")).with_message(message) }
    }

    pub fn answer(&self) -> &Answer {
        match self {
            Self::Throttled { answer, .. }
            | Self::Transient { answer, .. }
            | Self::Ambiguous { answer }
            | Self::Login { answer, .. }
            | Self::Forbidden { answer, .. }
            | Self::NoService { answer, .. }
            | Self::NotFound { answer }
            | Self::Resync { answer }
            | Self::BadItem { answer }
            | Self::Conflict { answer }
            | Self::Quota { answer }
            | Self::TooLarge { answer }
            | Self::Locked { answer }
            | Self::Refused { answer }
            | Self::Protocol { answer } => answer,
        }
    }

    /// Graph's error code; empty when no answer came.
    pub fn code(&self) -> &str {
        self.answer().code()
    }

    /// Whether trying the whole task again can help before somebody changes something.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Login { .. }
            | Self::Forbidden { .. }
            | Self::NoService { .. }
            | Self::Quota { .. }
            | Self::Refused { .. } => true,
            Self::Throttled { .. }
            | Self::Transient { .. }
            | Self::Ambiguous { .. }
            | Self::NotFound { .. }
            | Self::Resync { .. }
            | Self::BadItem { .. }
            | Self::Conflict { .. }
            | Self::TooLarge { .. }
            | Self::Locked { .. }
            | Self::Protocol { .. } => false,
        }
    }
}

/// The error that Graph put into an answer's body; empty where the body was not Graph's.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorBody {
    pub code: String,
    pub inner_code: String,
    pub message: String,
}

/// Error texts are kept for people; a gateway's HTML page is not one.
const MESSAGE_CHARS_MAX: usize = 500;
/// Graph nests at most a few errors.
const INNER_ERRORS_MAX: usize = 8;

impl ErrorBody {
    pub(super) fn parse(body: &[u8]) -> Self {
        let Ok(json) = serde_json::from_slice::<serde_json::Value>(body) else { return Self::default() };
        let error = &json["error"];
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let mut parsed = Self {
            code: text(&error["code"]),
            inner_code: String::new(),
            message: text(&error["message"]).chars().filter(|c| !c.is_control()).take(MESSAGE_CHARS_MAX).collect(),
        };
        let mut inner = error;
        for _ in 0..INNER_ERRORS_MAX {
            inner = if inner["innerError"].is_object() { &inner["innerError"] } else { &inner["innererror"] };
            if let Some(code) = inner["code"].as_str() {
                parsed.inner_code = code.to_owned();
            }
        }
        parsed
    }
}

/// What an unsuccessful status means. The order matters: Exchange says 500 for a corrupt item.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Class {
    Throttled,
    Transient,
    /// The request did not arrive whole, so nothing was carried out.
    NotReceived,
    StaleToken,
    Login(&'static str),
    Forbidden,
    NoService(&'static str),
    NotFound,
    Resync,
    BadItem,
    Conflict,
    Quota,
    TooLarge,
    Locked,
    Refused,
}

const THROTTLE_CODES: [&str; 5] =
    ["ApplicationThrottled", "TooManyRequests", "activityLimitReached", "throttledRequest", "ErrorServerBusy"];
const BAD_ITEM_CODES: [&str; 6] = [
    "ErrorCorruptData",
    "ErrorCannotOpenFileAttachment",
    "ErrorInvalidRecipients",
    "ErrorMimeContentConversionFailed",
    MALWARE_CODES[0],
    MALWARE_CODES[1],
];
/// What a refusal to hand out an infected file is called, outside and inside.
pub(super) const MALWARE_CODES: [&str; 2] = ["malwareDetected", "virusSuspicious"];
const NO_MAILBOX_CODES: [&str; 3] =
    ["MailboxNotEnabledForRESTAPI", "ErrorNonExistentMailbox", "MailboxNotSupportedForRESTAPI"];

pub(super) fn classify(status: StatusCode, answer: &Answer, has_retry_after: bool) -> Class {
    let message = answer.0.message.as_str();
    if answer.starts_with("SyncState") || answer.starts_with("resync") || answer.says("ErrorInvalidSyncStateData") {
        return Class::Resync;
    }
    if answer.says_any(&BAD_ITEM_CODES) {
        return Class::BadItem;
    }
    if answer.says_any(&["ErrorQuotaExceeded", "quotaLimitReached"]) {
        return Class::Quota;
    }
    if answer.says_any(&NO_MAILBOX_CODES) {
        return Class::NoService("the mailbox is inactive, soft-deleted or on premises");
    }
    if answer.says("ErrorAccessDenied") && message.contains("OData is disabled") {
        return Class::NoService(
            "the mailbox is outside what RBAC for Applications (or an application access policy) lets the app read",
        );
    }
    if let Some(reason) = no_drive(message) {
        return Class::NoService(reason);
    }
    if message.contains("subscription within the tenant has lapsed") {
        return Class::Login("the tenant's subscription has lapsed: renew it in the Microsoft 365 admin center");
    }
    if message.contains("IO error during request payload read") {
        return Class::NotReceived;
    }
    if answer.says_any(&THROTTLE_CODES) {
        return Class::Throttled;
    }
    match status.as_u16() {
        429 | 509 => Class::Throttled,
        503 if has_retry_after => Class::Throttled,
        408 | 500 | 502..=504 => Class::Transient,
        400 | 401 | 403 | 404 if answer.says_any(&["AuthenticationError", "ErrorInvalidUser"]) => {
            Class::NoService("Exchange does not know this user: usually there is no licence and no mailbox")
        }
        401 => Class::StaleToken,
        403 | 400 | 404 if answer.says("extensionError") => {
            Class::NoService("Exchange refuses this mailbox: it is on premises, or a policy of the tenant excludes it")
        }
        402 => Class::Login("Microsoft asks for payment: look at the tenant's subscriptions"),
        403 => Class::Forbidden,
        404 => Class::NotFound,
        409 | 412 => Class::Conflict,
        410 => Class::Resync,
        413 => Class::TooLarge,
        423 => Class::Locked,
        507 => Class::Quota,
        _ if answer.says("ErrorMessageSizeExceeded") => Class::TooLarge,
        _ => Class::Refused,
    }
}

/// SharePoint says in several ways, and with several codes, that somebody has no OneDrive.
fn no_drive(message: &str) -> Option<&'static str> {
    if message.contains("does not have a SPO license") {
        return Some("the tenant has no licence for SharePoint");
    }
    message.contains("mysite").then_some("this user has no OneDrive: it was never opened, or there is no licence")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classed(status: u16, body: &str, has_retry_after: bool) -> Class {
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer::new("GET x".into()).with_status(status, ErrorBody::parse(body.as_bytes()), String::new());
        classify(status, &answer, has_retry_after)
    }

    fn coded(status: u16, code: &str) -> Class {
        classed(status, &format!(r#"{{"error":{{"code":"{code}","message":"m"}}}}"#), false)
    }

    #[test]
    fn a_status_and_a_code_make_a_class() {
        assert_eq!(classed(429, "", false), Class::Throttled);
        assert_eq!(classed(503, "", true), Class::Throttled);
        assert_eq!(classed(503, "<html>", false), Class::Transient);
        assert_eq!(classed(509, "", false), Class::Throttled);
        assert_eq!(coded(500, "ErrorCorruptData"), Class::BadItem);
        assert_eq!(coded(500, "errorcorruptdata"), Class::BadItem);
        assert_eq!(coded(500, "ErrorInternalServerError"), Class::Transient);
        assert_eq!(coded(410, "SyncStateNotFound"), Class::Resync);
        assert_eq!(coded(400, "SyncStateInvalid"), Class::Resync);
        assert_eq!(coded(404, "ErrorItemNotFound"), Class::NotFound);
        assert_eq!(coded(401, "InvalidAuthenticationToken"), Class::StaleToken);
        assert_eq!(coded(403, "ErrorAccessDenied"), Class::Forbidden);
        assert_eq!(coded(507, "quotaLimitReached"), Class::Quota);
        assert_eq!(coded(409, "ErrorFolderExists"), Class::Conflict);
        assert_eq!(coded(413, ""), Class::TooLarge);
        assert_eq!(coded(418, "teapot"), Class::Refused);
        assert_eq!(coded(403, "malwareDetected"), Class::BadItem);
        let no_drive = r#"{"error":{"code":"UnknownError","message":"Unable to retrieve user's mysite URL."}}"#;
        assert!(matches!(classed(500, no_drive, false), Class::NoService(_)));
        assert!(matches!(coded(404, "MailboxNotEnabledForRESTAPI"), Class::NoService(_)));
        assert!(matches!(coded(401, "AuthenticationError"), Class::NoService(_)));
    }

    #[test]
    fn the_inner_code_counts_too() {
        let body = r#"{"error":{"code":"generalException","message":"","innerError":{"code":"resyncRequired","innerError":{"date":"x"}}}}"#;

        assert_eq!(classed(400, body, false), Class::Resync);
        assert_eq!(ErrorBody::parse(body.as_bytes()).inner_code, "resyncRequired");
    }

    #[test]
    fn a_body_that_was_cut_on_the_way_was_not_carried_out() {
        let body = r#"{"error":{"code":"BadRequest","message":"IO error during request payload read"}}"#;

        assert_eq!(classed(400, body, false), Class::NotReceived);
    }

    #[test]
    fn an_error_says_what_happened_to_what_and_what_to_do() {
        let error = ErrorBody { code: "ErrorAccessDenied".into(), inner_code: String::new(), message: "denied".into() };
        let answer = Answer::new("GET message m".into()).with_status(StatusCode::FORBIDDEN, error, "r-1".into());
        let error = GraphError::Forbidden { remedy: "grant Mail.Read".into(), answer };

        assert_eq!(
            error.to_string(),
            "GET message m: status 403 ErrorAccessDenied: denied (request-id r-1): grant Mail.Read"
        );
        assert!(error.is_permanent());
    }
}

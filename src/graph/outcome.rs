//! What becomes of one attempt: done, sent again, or an error. Pure.

use std::time::Duration;

use reqwest::StatusCode;

use super::endpoint::Scope;
use super::error::{Answer, Class, GraphError, classify};
use super::retry::Repeat;

/// One attempt that failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// No connection came about: nothing was carried out.
    NotSent {
        answer: Answer,
        certificate_refused: bool,
    },
    /// The connection broke after the request had been sent, or the body was cut short.
    Broken {
        answer: Answer,
    },
    Status {
        status: StatusCode,
        answer: Answer,
        retry_after: Option<Duration>,
    },
    /// The answer came whole and makes no sense.
    Unreadable {
        answer: Answer,
    },
    /// This machine's fault; asking again does not help.
    Local {
        answer: Answer,
    },
}

/// What to do about it.
#[derive(Debug)]
pub(super) enum Step {
    /// The whole scope waits; counts as no attempt. `None`: Microsoft did not say how long.
    Throttle {
        wait: Option<Duration>,
        answer: Answer,
    },
    /// Again after a pause.
    Again {
        answer: Answer,
    },
    /// Again with a fresh token.
    Refresh {
        answer: Answer,
    },
    Fail(GraphError),
}

/// What the judgement depends on besides the failure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances<'a> {
    pub repeat: Repeat,
    pub reads: bool,
    pub scope: &'a Scope,
    /// See [`Endpoint::permission`](super::endpoint::Endpoint::permission).
    pub permission: &'static str,
    pub token_was_refreshed: bool,
}

pub(super) fn judge(failure: Failure, at: Circumstances<'_>) -> Step {
    match failure {
        Failure::NotSent { answer, certificate_refused: true } => Step::Fail(GraphError::Login {
            remedy: "the server's certificate is not trusted: set graph.ca_file to the authority that issued it, \
                     or look for a proxy that opens TLS connections"
                .to_owned(),
            answer,
        }),
        Failure::NotSent { answer, certificate_refused: false } => Step::Again { answer },
        Failure::Broken { answer } => again_unless_created(answer, at.repeat),
        Failure::Unreadable { answer } => match at.repeat {
            Repeat::Harmless => Step::Fail(GraphError::Protocol { answer }),
            Repeat::Creates => Step::Fail(GraphError::Ambiguous { answer }),
        },
        Failure::Local { answer } => Step::Fail(GraphError::Transient { attempts: 1, answer }),
        Failure::Status { status, answer, retry_after } => {
            let class = classify(status, &answer, retry_after.is_some());
            match class {
                Class::Throttled => Step::Throttle { wait: retry_after, answer },
                Class::NotReceived => Step::Again { answer },
                Class::Transient => again_unless_created(answer, at.repeat),
                Class::StaleToken if !at.token_was_refreshed => Step::Refresh { answer },
                class => Step::Fail(final_error(class, answer, at)),
            }
        }
    }
}

fn again_unless_created(answer: Answer, repeat: Repeat) -> Step {
    match repeat {
        Repeat::Harmless => Step::Again { answer },
        Repeat::Creates => Step::Fail(GraphError::Ambiguous { answer }),
    }
}

fn final_error(class: Class, answer: Answer, at: Circumstances<'_>) -> GraphError {
    match class {
        Class::StaleToken => GraphError::Login {
            remedy: "Graph does not take a token that was just issued: check that graph.base_url and graph.login_url \
                     are the same cloud, and this machine's clock"
                .to_owned(),
            answer,
        },
        Class::Login(remedy) => GraphError::Login { remedy: remedy.to_owned(), answer },
        Class::Forbidden => GraphError::Forbidden { remedy: missing_role(at), answer },
        Class::NoService(reason) => GraphError::NoService { reason, answer },
        Class::NotFound => GraphError::NotFound { answer },
        Class::Resync => GraphError::Resync { answer },
        Class::BadItem => GraphError::BadItem { answer },
        Class::Conflict => GraphError::Conflict { answer },
        Class::Quota => GraphError::Quota { answer },
        Class::TooLarge => GraphError::TooLarge { answer },
        Class::Locked => GraphError::Locked { answer },
        Class::Refused => GraphError::Refused { answer },
        Class::Throttled | Class::Transient | Class::NotReceived => GraphError::Transient { attempts: 1, answer },
    }
}

fn missing_role(at: Circumstances<'_>) -> String {
    let name = at.permission;
    match (at.scope, at.reads) {
        (Scope::Directory, _) => "grant the app the application permissions User.Read.All and Organization.Read.All, \
                                  with admin consent"
            .to_owned(),
        (Scope::Drives, false) => {
            "a restore needs the application permission Files.ReadWrite.All, with admin consent".to_owned()
        }
        (Scope::Drives, true) => {
            "grant the app the application permission Files.Read.All, with admin consent; permissions \
                               of files also need Sites.FullControl.All"
                .to_owned()
        }
        (Scope::Mailbox(_), true) => format!(
            "grant the app the application permission {name}.Read or {name}.ReadWrite, with admin consent; where RBAC \
             for Applications limits it, include this mailbox"
        ),
        (Scope::Mailbox(_), false) => format!(
            "a restore needs the application permission {name}.ReadWrite, with admin consent; where RBAC for \
             Applications limits it, include this mailbox"
        ),
    }
}

/// An error with all that caused it, on one line.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::error::ErrorBody;
    use super::*;

    fn judged(status: u16, retry_after: Option<u64>, repeat: Repeat, token_was_refreshed: bool) -> Step {
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer::new("POST x".into()).with_status(status, ErrorBody::default(), String::new());
        let failure = Failure::Status { status, answer, retry_after: retry_after.map(Duration::from_secs) };
        let scope = Scope::Mailbox("u".into());
        judge(failure, Circumstances { repeat, reads: false, scope: &scope, permission: "Mail", token_was_refreshed })
    }

    #[test]
    fn a_request_that_creates_is_never_repeated_after_an_unclear_end() {
        for status in [500, 502, 503, 504, 408] {
            assert!(matches!(judged(status, None, Repeat::Creates, false), Step::Fail(GraphError::Ambiguous { .. })));
            assert!(matches!(judged(status, None, Repeat::Harmless, false), Step::Again { .. }));
        }
        let scope = Scope::Directory;
        let (repeat, permission) = (Repeat::Creates, "Mail");
        let at = Circumstances { repeat, reads: false, scope: &scope, permission, token_was_refreshed: false };
        let answer = Answer::new("POST x".into());
        assert!(matches!(
            judge(Failure::Broken { answer: answer.clone() }, at),
            Step::Fail(GraphError::Ambiguous { .. })
        ));
        let not_sent = Failure::NotSent { answer, certificate_refused: false };
        assert!(matches!(judge(not_sent, at), Step::Again { .. }));
    }

    #[test]
    fn a_throttled_request_waits_even_when_it_creates() {
        for (status, after) in [(429, Some(7)), (429, None), (503, Some(7))] {
            let Step::Throttle { wait, .. } = judged(status, after, Repeat::Creates, false) else { panic!("{status}") };
            assert_eq!(wait, after.map(Duration::from_secs));
        }
    }

    #[test]
    fn a_refused_token_is_renewed_once() {
        assert!(matches!(judged(401, None, Repeat::Creates, false), Step::Refresh { .. }));
        assert!(matches!(judged(401, None, Repeat::Creates, true), Step::Fail(GraphError::Login { .. })));
    }

    #[test]
    fn a_missing_permission_is_named() {
        let Step::Fail(error) = judged(403, None, Repeat::Creates, false) else { panic!("403 is final") };

        assert!(error.to_string().contains("Mail.ReadWrite"), "{error}");
    }

    #[test]
    fn the_permission_is_the_one_of_what_was_asked_for() {
        let mailbox = Scope::Mailbox("u".into());
        let told = |permission, reads| {
            let (repeat, scope) = (Repeat::Harmless, &mailbox);
            missing_role(Circumstances { repeat, reads, scope, permission, token_was_refreshed: false })
        };

        assert!(told("Calendars", true).contains("Calendars.Read or Calendars.ReadWrite"));
        assert!(told("Contacts", false).contains("permission Contacts.ReadWrite"));
    }
}

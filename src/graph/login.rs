//! What the login service's refusals mean, and what an administrator does about each.

use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;

use super::endpoint::Scope;
use super::error::{Answer, ErrorBody, GraphError};
use super::outcome::{Circumstances, Failure, Step, judge};
use super::retry::Repeat;

/// Why no token was issued.
#[derive(Debug)]
pub(super) enum LoginError {
    Final(GraphError),
    Retry { answer: Answer, after: Option<Duration> },
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LoginBody {
    error: String,
    error_description: String,
    error_codes: Vec<u32>,
    trace_id: String,
}

/// The request for a token that had no answer. Asking twice for a token does no harm.
pub(super) fn not_answered(failure: Failure) -> LoginError {
    let scope = Scope::Directory;
    let (repeat, permission) = (Repeat::Harmless, "");
    let at = Circumstances { repeat, reads: true, scope: &scope, permission, token_was_refreshed: true };
    match judge(failure, at) {
        Step::Fail(error) => LoginError::Final(error),
        Step::Throttle { answer, .. } | Step::Again { answer } | Step::Refresh { answer } => {
            LoginError::Retry { answer, after: None }
        }
    }
}

/// Microsoft warns not to depend on the numbers for good: an unknown refusal is a matter of configuration.
pub(super) fn login_failure(asked: Answer, status: StatusCode, after: Option<Duration>, body: &[u8]) -> LoginError {
    let body: LoginBody = serde_json::from_slice(body).unwrap_or_default();
    let code = body.error_codes.first().copied();
    // The rest of the description is trace ids and a time.
    let message = body.error_description.lines().next().unwrap_or_default().to_owned();
    let error = ErrorBody { code: body.error, inner_code: String::new(), message };
    let answer = asked.with_status(status, error, body.trace_id);
    let busy = status.is_server_error() || matches!(status.as_u16(), 408 | 429);
    if busy || matches!(code, Some(90033 | 90006 | 50196)) {
        return LoginError::Retry { answer, after };
    }
    LoginError::Final(GraphError::Login { remedy: remedy(code).to_owned(), answer })
}

fn remedy(code: Option<u32>) -> &'static str {
    match code {
        Some(7_000_215) => {
            "the client secret is wrong: enter the secret's value (shown once when it is created), not its id"
        }
        Some(7_000_222) => "the client secret has expired: create a new one for the app and enter it here",
        Some(7_000_218) => "no credential reached the login service: enter the client secret or certificate again",
        Some(700_027) => {
            "the certificate is not registered with the app, or the private key is another's: upload it to the app"
        }
        Some(700_024) => "this machine's clock differs from Microsoft's: synchronize it (chrony or ntpd)",
        Some(700_016) => {
            "the app is not known in this tenant: check the client id, and grant admin consent in the tenant"
        }
        Some(90_002 | 900_021) => "the tenant is not known: check the tenant id, and that graph.login_url is its cloud",
        Some(65_001) => "the app has no consent in this tenant: an administrator must grant it",
        Some(70_011 | 1_002_012) => "the scope is not accepted: check graph.base_url and graph.cloud",
        Some(7_000_112) => "the app is disabled: enable it under Entra ID, enterprise applications",
        Some(53_000..=53_999) => {
            "Conditional Access for workload identities blocks the app: allow this address, or exclude the app"
        }
        _ => "check the tenant id, the client id and the credential of the app",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, body: &str) -> LoginError {
        let status = StatusCode::from_u16(status).unwrap();
        login_failure(Answer::new("asking for an access token".into()), status, None, body.as_bytes())
    }

    #[test]
    fn a_pasted_secret_id_is_explained() {
        let body = r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided.\r\nTrace ID: t\r\nTimestamp: x","error_codes":[7000215],"trace_id":"t"}"#;

        let LoginError::Final(error) = failure(401, body) else { panic!("a wrong secret is not retried") };

        assert!(matches!(error, GraphError::Login { .. }));
        assert_eq!(
            error.to_string(),
            "asking for an access token: status 401 invalid_client: AADSTS7000215: Invalid client secret provided. \
             (request-id t): the client secret is wrong: enter the secret's value (shown once when it is created), not its id"
        );
    }

    #[test]
    fn a_busy_login_service_is_asked_again_and_an_unknown_refusal_is_not() {
        assert!(matches!(failure(503, "<html>"), LoginError::Retry { .. }));
        assert!(matches!(failure(429, ""), LoginError::Retry { .. }));
        assert!(matches!(failure(400, r#"{"error_codes":[123456]}"#), LoginError::Final(GraphError::Login { .. })));
        assert!(matches!(failure(400, ""), LoginError::Final(GraphError::Login { .. })));
    }
}

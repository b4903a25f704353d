use crate::{Tenant, send};
use kodo_simulator::{Limits, Options};
use reqwest::Method;

#[actix_web::test]
async fn the_fifth_request_at_once_is_refused_and_noted() {
    let limits = Limits { latency_ms: 150, ..Limits::default() };
    let tenant = Tenant::start(Options { users: 1, messages: 5, limits, ..Options::default() }).await;
    let path = format!("/users/{}/mailFolders/inbox", tenant.user());

    let all = futures_util::future::join_all((0..6).map(|_| tenant.get(&path))).await;

    let refused: Vec<_> = all.iter().filter(|answer| answer.status == 429).collect();
    assert_eq!(refused.len(), 2);
    assert_eq!(refused[0].code(), "ApplicationThrottled");
    assert_eq!(refused[0].headers["retry-after"], "1");
    assert_eq!(tenant.violation_kinds(), vec!["over_concurrency"; 2]);
    let stats = tenant.simulator.stats();
    let highest = stats["concurrency_max"].as_object().expect("a map").values().next().cloned();
    assert_eq!(highest, Some(serde_json::json!(4)));
}

#[actix_web::test]
async fn four_at_once_pass() {
    let tenant = Tenant::small().await;
    let path = format!("/users/{}/mailFolders/inbox", tenant.user());

    let all = futures_util::future::join_all((0..4).map(|_| tenant.get(&path))).await;

    assert!(all.iter().all(|answer| answer.status == 200));
}

#[actix_web::test]
async fn a_window_that_is_full_refuses_until_retry_after_has_passed() {
    let limits = Limits { mailbox_requests: 3, retry_after_seconds: 5, ..Limits::default() };
    let tenant = Tenant::start(Options { users: 1, messages: 5, limits, ..Options::default() }).await;
    let path = format!("/users/{}/mailFolders/inbox", tenant.user());
    for _ in 0..3 {
        assert_eq!(tenant.get(&path).await.status, 200);
    }

    let over = tenant.get(&path).await;
    assert_eq!((over.status.as_u16(), over.headers["retry-after"].to_str().expect("text")), (429, "5"));
    tenant.simulator.advance_clock(2);
    let early = tenant.get(&path).await;
    tenant.simulator.advance_clock(700);
    let late = tenant.get(&path).await;

    assert_eq!((early.status.as_u16(), late.status.as_u16()), (429, 200));
    assert_eq!(tenant.violation_kinds(), vec!["before_retry_after"]);
}

#[actix_web::test]
async fn an_undecorated_agent_and_a_double_slash_are_noted() {
    let tenant = Tenant::small().await;
    let path = format!("/users//{}", tenant.user());

    let request = tenant.request(Method::GET, &path).header("User-Agent", "curl/8");
    send(request).await;

    assert_eq!(tenant.violation_kinds(), vec!["user_agent", "double_slash"]);
}

#[actix_web::test]
async fn coming_back_before_the_retry_after_of_a_fault_is_noted() {
    let tenant = Tenant::small().await;
    let plan = serde_json::json!({"rules": [{"kind": "status", "status": 503, "retry_after": 9, "times": 1}]});
    tenant.simulator.set_faults(serde_json::from_value(plan).expect("a plan"));
    let path = format!("/users/{}/mailFolders/inbox", tenant.user());

    let struck = tenant.get(&path).await;
    tenant.simulator.advance_clock(2);
    let early = tenant.get(&path).await;
    tenant.simulator.advance_clock(10);
    let late = tenant.get(&path).await;

    let statuses = [struck, early, late].map(|answer| answer.status.as_u16());
    assert_eq!(statuses, [503, 200, 200]);
    assert_eq!(tenant.violation_kinds(), vec!["before_retry_after"]);
}

use super::{faults, home};
use crate::Tenant;
use kodo_simulator::{Limits, Options};
use serde_json::json;

async fn with_units(sharepoint_units_per_minute: u64) -> Tenant {
    let limits = Limits { sharepoint_units_per_minute, ..Limits::default() };
    Tenant::start(Options { users: 1, messages: 2, limits, ..Options::default() }).await
}

#[actix_web::test]
async fn answers_tell_of_the_budget_from_four_fifths_on_and_then_refuse() {
    let tenant = with_units(10).await;
    let root = format!("{}/root", home(&tenant));
    for _ in 0..7 {
        let answer = tenant.get(&root).await;
        assert_eq!((answer.status.as_u16(), answer.headers.get("ratelimit-limit")), (200, None));
    }

    let eighth = tenant.get(&root).await;
    assert_eq!((eighth.status.as_u16(), &eighth.headers["ratelimit-remaining"]), (200, &"2".parse().expect("text")));
    let permissions = tenant.get(&format!("{root}/permissions")).await;
    assert_eq!((permissions.status.as_u16(), permissions.code()), (429, "activityLimitReached"));
    assert_eq!(permissions.body["error"]["innerError"]["code"], "throttledRequest");
    let wait: i64 = permissions.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(tenant.violation_kinds(), Vec::<&str>::new());

    tenant.simulator.advance_clock(2);
    let early = tenant.get(&root).await;
    tenant.simulator.advance_clock(wait);
    let late = tenant.get(&root).await;

    assert_eq!((early.status.as_u16(), late.status.as_u16()), (429, 200));
    assert_eq!(tenant.violation_kinds(), ["before_retry_after"]);
}

#[actix_web::test]
async fn a_delta_is_cheaper_with_a_token_and_a_listing_costs_two() {
    let tenant = with_units(100).await;
    let remaining = async |path: &str, count: usize| {
        tenant.simulator.set_limits(Limits { sharepoint_units_per_minute: 100, ..Limits::default() });
        tenant.simulator.advance_clock(61);
        let mut last = String::new();
        for _ in 0..count {
            let answer = tenant.get(path).await;
            let told = answer.headers.get("ratelimit-remaining");
            last = told.map_or("", |value| value.to_str().expect("text")).to_owned();
        }
        last
    };
    let home = home(&tenant);

    assert_eq!(remaining(&format!("{home}/root/delta?token=latest"), 80).await, "20");
    assert_eq!(remaining(&format!("{home}/root/delta"), 40).await, "20");
    assert_eq!(remaining(&format!("{home}/root/children"), 40).await, "20");
    assert_eq!(remaining(&format!("{home}/root/permissions"), 16).await, "20");
}

#[actix_web::test]
async fn a_busy_server_wants_to_be_left_alone() {
    let tenant = with_units(0).await;
    faults(&tenant, json!([{"match": "drive/root", "kind": "status", "status": 503, "retry_after": 9, "times": 1}]));
    let root = format!("{}/root", home(&tenant));

    let busy = tenant.get(&root).await;
    tenant.simulator.advance_clock(2);
    let early = tenant.get(&home(&tenant)).await;

    assert_eq!((busy.status.as_u16(), &busy.body["error"]["message"]), (503, &json!("Server Too Busy")));
    assert_eq!(early.status, 200, "an injected fault refuses nobody else");
    assert_eq!(tenant.violation_kinds(), ["before_retry_after"]);
}

#[actix_web::test]
async fn the_directory_counts_units_too() {
    let limits = Limits { directory_units: 5, ..Limits::default() };
    let tenant = Tenant::start(Options { users: 1, messages: 2, limits, ..Options::default() }).await;

    let cheap = tenant.get("/users?$select=id").await;
    let dear = tenant.get("/users").await;
    let tight = tenant.get("/users?$select=id").await;
    let over = tenant.get("/users").await;

    let cost = |answer: &crate::Answer| answer.headers["x-ms-resource-unit"].to_str().expect("text").to_owned();
    assert_eq!((cost(&cheap), cost(&dear)), ("1".into(), "2".into()));
    assert!(dear.headers.get("x-ms-throttle-limit-percentage").is_none());
    assert_eq!(tight.headers["x-ms-throttle-limit-percentage"], "0.80");
    assert_eq!((over.status.as_u16(), over.code()), (429, "TooManyRequests"));
    assert!(over.headers.contains_key("x-ms-throttle-scope"));
}

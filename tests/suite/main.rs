//! What KODO promises, seen from outside: a module per capability, against a simulated Microsoft 365, a real MariaDB
//! and real processes. Tests that need a database start one of their own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking, in its helpers too")]

mod support;

mod graph_client;
mod killed;
mod mailbox_feature;
mod main_job;
mod queue;
mod queue_property;
mod schedule;
mod tenant;
mod tenants;
mod tidy;

//! What KODO promises, seen from outside: a module per capability, against a simulated Microsoft 365, a real MariaDB
//! and real processes. Tests that need a database start one of their own.

mod support;

mod mailbox_feature;
mod queue;
mod schedule;
mod tenants;
mod tidy;

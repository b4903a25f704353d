//! Black-box tests, a module per capability. Tests that need a database start a MariaDB of their own.

mod support;

mod queue;
mod queue_property;
mod schedule;
mod tenants;

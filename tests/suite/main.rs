//! What KODO promises, seen from outside: a module per capability, against a simulated Microsoft 365, a real MariaDB
//! and real processes. Tests that need a database start one of their own.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test panics where it fails, and waits for processes"
)]

mod support;

mod api_authorization;
mod api_requests;
mod calendar_feature;
mod calendar_listing;
mod calendar_restore;
mod calendar_restore_conflicts;
mod cancelled;
mod catalog;
mod chosen;
mod cli_exit_codes;
mod cli_tenant;
mod collection;
mod configuration;
mod contacts_feature;
mod contacts_installed;
mod contacts_restore;
mod content_rules;
mod coverage;
mod exceptions;
mod exchange_streams;
mod exports;
mod faithful;
mod graph_client;
mod https_tenant;
mod keys;
mod killed;
mod limits;
mod mailbox_coverage;
mod mailbox_feature;
mod main_job;
mod managed_database;
mod not_applicable;
mod onedrive_feature;
mod onedrive_history;
mod onedrive_paths;
mod onedrive_putting;
mod onedrive_restore;
mod onedrive_resumed;
mod onedrive_sharing;
mod onedrive_versions;
mod personal;
mod policy_options;
mod pruned;
mod queue;
mod queue_property;
mod rebuild;
mod rehearsals;
mod restore_conflicts;
mod restore_dry_run;
mod restore_report;
mod restore_scope;
mod restored_folders;
mod restores;
mod retention;
mod schedule;
mod scheduled_backups;
mod schema;
mod search;
mod settings_restore;
mod storage_trouble;
mod tenants;
mod tidy;
mod upgrade;
mod verify;

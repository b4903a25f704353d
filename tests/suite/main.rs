//! What KODO does, seen from outside, against a simulated Microsoft 365.

mod graph_client;
mod mailbox_feature;
mod tenant;

//! What KODO does, seen from outside, against a simulated Microsoft 365.

mod mailbox_feature;

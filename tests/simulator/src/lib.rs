//! A simulated Microsoft 365 tenant: its login and Microsoft Graph over HTTP, as strict and as
//! rude as the real one. It shares no type with the product it tests.

mod app;
mod clock;
mod company;
mod contract;
mod control;
mod dice;
mod faults;
mod gate;
mod graph;
mod locks;
mod login;
mod mime;
mod notices;
mod options;
mod outgoing;
mod reply;
mod request;
mod server;
mod simulator;
mod store;
mod throttle;
mod tls;
mod units;
mod upload;
mod watch;

pub use app::{MailboxState, UserKind};
pub use faults::{FaultBody, FaultKind, FaultPlan, FaultRule, RetryAfterForm};
pub use notices::Notice;
pub use options::{Limits, Options};
pub use simulator::Simulator;
pub use store::drive::DriveState;
pub use watch::{Breach, Violation};

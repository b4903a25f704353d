//! What the tests stand on.

pub mod http;
pub mod mariadb;
pub mod stage;
pub mod tenant;

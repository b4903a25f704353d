//! What the tests stand on.

pub mod mariadb;
pub mod stage;

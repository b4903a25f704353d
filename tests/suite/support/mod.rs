//! What the tests stand on.

pub mod agenda;
pub mod chance;
pub mod collected;
pub mod drive;
pub mod held;
pub mod http;
pub mod managed;
pub mod mariadb;
pub mod stage;
pub mod tenant;
pub mod wait;

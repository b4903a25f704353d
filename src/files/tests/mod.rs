//! Files as other programs read them.

mod archives;
mod libraries;
mod scene;

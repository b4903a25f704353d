//! Shared blobs as the database knows them: where each lies and whether new items may build on it.
//!
//! Owns: the table `blobs` and the states of a blob. A row exists for each shared blob that a committed pack holds.

pub(super) mod sql;

//! Who may do what: admins, their roles, and the API tokens that speak for them.
//!
//! Owns: the tables `admins`, `api_tokens` and `audit`. Does not own: where a permission is asked for (`api`).
//!
//! Invariants: the text of a token is shown once and never stored; a token is 256 random bits, so its plain BLAKE3 is
//! enough to find it by and nothing can be guessed from it; an expired token is no token, by the database's clock.

pub mod audit;
mod role;
mod sql;

use std::convert::Infallible;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};

use crate::db::{Conn, Db, DbError, TxError};
use crate::ids::AdminId;
use crate::secret::{Secret, random_key};

pub use role::{Permission, Role};

/// What every token begins with, so that scanners for leaked secrets can know it.
const TOKEN_PREFIX: &str = "kodo_";
/// Admins or tokens that a list shows at most.
const ROWS_MAX: i64 = 10_000;
/// How old `last_used_at` may be: writing it with every request would make reads of the API writes.
const USE_NOTED_EVERY_S: i64 = 60;

/// Who makes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub admin: AdminId,
    pub name: String,
    pub role: Role,
}

impl Caller {
    pub fn may(&self, permission: Permission) -> bool {
        self.role.allows(permission)
    }
}

#[derive(Clone, Debug)]
pub struct AdminView {
    pub id: AdminId,
    pub name: String,
    pub role: Role,
    pub created_at: DateTime<Utc>,
}

/// A token as it may be shown: without its text.
#[derive(Clone, Debug)]
pub struct TokenView {
    pub id: u32,
    pub admin: AdminId,
    pub name: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Adds an admin. [`DbError::Duplicate`]: the name is taken.
pub async fn add_admin(db: &Db, name: &str, role: Role) -> Result<AdminId, DbError> {
    let name = name.to_owned();
    let work = move |conn: &mut Conn| Ok(sql::insert_admin(conn, &name, role)?);
    db.transaction("add an admin", work).await.map_err(only_db)
}

pub async fn list_admins(db: &Db) -> Result<Vec<AdminView>, DbError> {
    let rows = db.run("list admins", |conn| sql::list_admins(conn, ROWS_MAX)).await?;
    rows.into_iter().map(admin_view).collect()
}

/// Creates the first administrator with a token if there is no admin yet. `None`: there is one, nothing changed.
pub async fn ensure_first_admin(db: &Db, name: &str) -> anyhow::Result<Option<(AdminId, Secret<String>)>> {
    let (token, hash) = new_token()?;
    let name = name.to_owned();
    let work = move |conn: &mut Conn| {
        if sql::any_admin(conn)? {
            return Ok(None);
        }
        // Two processes may both have found none: the unique name lets one of them fail.
        let admin = sql::insert_admin(conn, &name, Role::Administrator)?;
        sql::insert_token(conn, admin, "first token", &hash, None)?;
        Ok(Some(admin))
    };
    let admin = db.transaction("create the first admin", work).await.map_err(only_db)?;
    Ok(admin.map(|admin| (admin, token)))
}

/// Creates a token and returns its text, which cannot be shown again. Without `expires_at` it holds until deleted.
pub async fn create_token(
    db: &Db,
    admin: AdminId,
    name: &str,
    expires_at: Option<DateTime<Utc>>,
) -> anyhow::Result<Secret<String>> {
    let (token, hash) = new_token()?;
    let name = name.to_owned();
    let work = move |conn: &mut Conn| Ok(sql::insert_token(conn, admin, &name, &hash, expires_at)?);
    db.transaction("create a token", work).await.map_err(only_db)?;
    Ok(token)
}

pub async fn list_tokens(db: &Db, admin: AdminId) -> Result<Vec<TokenView>, DbError> {
    let rows = db.run("list tokens", move |conn| sql::list_tokens(conn, admin, ROWS_MAX)).await?;
    Ok(rows.into_iter().map(token_view).collect())
}

/// Deletes a token; it stops working with the next request. [`DbError::NotFound`]: there is none of this id.
pub async fn delete_token(db: &Db, token: u32) -> Result<(), DbError> {
    match db.run("delete a token", move |conn| sql::delete_token(conn, token)).await? {
        0 => Err(DbError::NotFound),
        _ => Ok(()),
    }
}

/// Whom a token speaks for. `None`: it is unknown or has expired; nobody is told which.
pub async fn authenticate(db: &Db, token: &str) -> Result<Option<Caller>, DbError> {
    if !token.starts_with(TOKEN_PREFIX) {
        return Ok(None);
    }
    let hash = hash(token);
    let found = db.run("authenticate", move |conn| sql::find_by_hash(conn, &hash)).await?;
    let Some(found) = found else { return Ok(None) };
    if found.unnoted_seconds.is_none_or(|seconds| seconds >= USE_NOTED_EVERY_S) {
        let token = found.token_id;
        db.run("note a token's use", move |conn| sql::note_use(conn, token)).await?;
    }
    let role = known_role(&found.name, &found.role)?;
    Ok(Some(Caller { admin: AdminId::new(found.admin_id), name: found.name, role }))
}

fn new_token() -> anyhow::Result<(Secret<String>, [u8; 32])> {
    let bits = random_key()?;
    let text = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bits.expose()));
    let hash = hash(&text);
    Ok((Secret::new(text), hash))
}

fn hash(token: &str) -> [u8; 32] {
    *blake3::hash(token.as_bytes()).as_bytes()
}

fn known_role(admin: &str, text: &str) -> Result<Role, DbError> {
    Role::parse(text).ok_or_else(|| DbError::Query(format!("admin \"{admin}\" has the unknown role \"{text}\"")))
}

/// The error of a transaction whose work cannot refuse.
fn only_db(err: TxError<Infallible>) -> DbError {
    match err {
        TxError::Db(err) => err,
        TxError::Refused(never) => match never {},
    }
}

fn admin_view(row: sql::AdminRow) -> Result<AdminView, DbError> {
    let role = known_role(&row.name, &row.role)?;
    Ok(AdminView { id: AdminId::new(row.id), name: row.name, role, created_at: row.created_at.and_utc() })
}

fn token_view(row: sql::TokenRow) -> TokenView {
    TokenView {
        id: row.id,
        admin: AdminId::new(row.admin_id),
        name: row.name,
        created_at: row.created_at.and_utc(),
        expires_at: row.expires_at.map(|time| time.and_utc()),
        last_used_at: row.last_used_at.map(|time| time.and_utc()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_43_random_characters_behind_its_prefix() {
        let (one, hash_of_one) = new_token().unwrap();
        let (two, hash_of_two) = new_token().unwrap();

        assert!(one.expose().starts_with("kodo_") && one.expose().len() == 5 + 43);
        assert_ne!(one.expose(), two.expose());
        assert_ne!(hash_of_one, hash_of_two);
        assert_eq!(hash(one.expose()), hash_of_one);
    }
}

//! What is asked for, whether it can be done, and of which chains and points it is.

use chrono::{DateTime, Utc};

use crate::catalog::{self, Chain};
use crate::db::{Conn, Db, DbError, QueryResult};
use crate::files::names;
use crate::ids::{ChainId, OrganizationId, PointNumber, ResourceId};
use crate::queue::work::{ExportForm, ExportPart, ExportSelection};
use crate::secret::Secret;
use crate::tenants;

/// Containers and items that one request may name; more are named by their container.
pub const SELECTED_MAX: usize = 10_000;
/// Chains in one export.
pub const PARTS_MAX: usize = 200;
pub const KEEP_HOURS_DEFAULT: u32 = 24;
pub const KEEP_HOURS_MAX: u32 = 24 * 90;
/// What a passphrase of an archive must at least have: the format makes guessing cheap.
pub const PASSPHRASE_CHARS_MIN: usize = 12;
const PASSPHRASE_CHARS_MAX: usize = 200;
const POINTS_PAGE: u32 = 500;

/// What is to be handed out.
pub struct NewExport {
    pub chains: Vec<ChainId>,
    pub when: When,
    pub form: ExportForm,
    /// `None`: everything that the points hold. Only of one chain.
    pub selection: Option<ExportSelection>,
    pub passphrase: Option<Secret<String>>,
    pub destination: Destination,
    pub keep_hours: u32,
}

/// As of which restore points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Newest,
    /// Of the one chain.
    Point(PointNumber),
    /// Of each chain the newest that was sealed by then.
    At(DateTime<Utc>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    Download,
    /// One that the configuration allows, and how the file's name begins.
    Directory {
        directory: String,
        name: Option<String>,
    },
}

/// Why an export was not begun.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("there is no chain {0}")]
    NoChain(ChainId),
    /// It cannot be done as asked; the text says what would work.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("{0:#}")]
    Here(anyhow::Error),
}

pub(super) fn check(new: &NewExport) -> Result<(), StartError> {
    let refuse = |why: String| Err(StartError::Refused(why));
    if !(1..=PARTS_MAX).contains(&new.chains.len()) {
        return refuse(format!("an export is of 1 to {PARTS_MAX} chains, not {}", new.chains.len()));
    }
    let single = matches!(new.when, When::Point(_)) || new.selection.is_some();
    if single && new.chains.len() > 1 {
        return refuse("a point or a selection is of one chain: name one feature, or give a time instead".to_owned());
    }
    if let Some(selection) = &new.selection {
        let n_selected = selection.containers.len() + selection.items.len();
        if !(1..=SELECTED_MAX).contains(&n_selected) {
            return refuse(format!("a selection names 1 to {SELECTED_MAX} containers and items, not {n_selected}"));
        }
    }
    if !(1..=KEEP_HOURS_MAX).contains(&new.keep_hours) {
        return refuse(format!("keep_hours is {}, not between 1 and {KEEP_HOURS_MAX}", new.keep_hours));
    }
    let fits = PASSPHRASE_CHARS_MIN..=PASSPHRASE_CHARS_MAX;
    if new.passphrase.as_ref().is_some_and(|phrase| !fits.contains(&phrase.expose().chars().count())) {
        return refuse(format!("the passphrase has {PASSPHRASE_CHARS_MIN} to {PASSPHRASE_CHARS_MAX} characters"));
    }
    match &new.destination {
        Destination::Directory { name: Some(name), .. } if names::safe(name) != *name => {
            refuse(format!("\"{name}\" is not a name for a file: \"{}\" would be one", names::safe(name)))
        }
        Destination::Directory { .. } | Destination::Download => Ok(()),
    }
}

/// The chains with their points and folders, and the organization that all of them are of.
pub(super) async fn parts(db: &Db, new: &NewExport) -> Result<(Vec<ExportPart>, OrganizationId), StartError> {
    let mut parts = Vec::with_capacity(new.chains.len());
    let mut organization = None;
    for &id in &new.chains {
        let chain = db.run("read a chain", move |conn| catalog::chains::get(conn, id)).await?;
        let chain = chain.ok_or(StartError::NoChain(id))?;
        let (folder, of) = owner(db, chain.key.resource).await?;
        if *organization.get_or_insert(of) != of {
            return Err(StartError::Refused(format!("chain {id} is of another organization than those before it")));
        }
        parts.push(ExportPart { chain: id, point: point(db, &chain, new.when).await?, folder });
    }
    match organization {
        Some(organization) => Ok((parts, organization)),
        None => Err(StartError::Refused("name at least one chain".to_owned())),
    }
}

/// What the resource is called, and whose it is.
async fn owner(db: &Db, resource: ResourceId) -> Result<(String, OrganizationId), StartError> {
    let resource = tenants::get_resource(db, resource).await?;
    let tenant = tenants::get_tenant(db, resource.tenant).await?;
    let called = [&resource.address, &resource.name, &resource.graph_id];
    let called = called.into_iter().find(|name| !name.trim().is_empty()).cloned().unwrap_or_default();
    Ok((names::safe(&called), tenant.organization))
}

async fn point(db: &Db, chain: &Chain, when: When) -> Result<PointNumber, StartError> {
    let (id, last) = (chain.id, chain.last_point);
    if last == 0 {
        return Err(StartError::Refused(format!("chain {id} has no restore point yet: back it up first")));
    }
    match when {
        When::Newest => Ok(PointNumber::new(last)),
        When::Point(number) => {
            let point = db.run("read a restore point", move |conn| catalog::points::get(conn, id, number)).await?;
            match point.map(|point| point.state.closed()) {
                Some(None) => Ok(number),
                Some(Some(why)) => Err(StartError::Refused(format!("point {number} of chain {id} {why}"))),
                None => Err(StartError::Refused(format!("chain {id} has no point {number}; the newest is {last}"))),
            }
        }
        When::At(at) => {
            let found = db.run("find a restore point", move |conn| sealed_by(conn, id, at)).await?;
            found.ok_or_else(|| StartError::Refused(format!("chain {id} has no restore point from before {at}")))
        }
    }
}

/// The newest point that was sealed by then. Bounded by the points that there are.
fn sealed_by(conn: &mut Conn, chain: ChainId, at: DateTime<Utc>) -> QueryResult<Option<PointNumber>> {
    let mut before = PointNumber::OPEN;
    loop {
        let page = catalog::points::sealed(conn, chain, before, POINTS_PAGE)?;
        if let Some((number, _)) = page.iter().find(|(_, sealed_at)| *sealed_at <= at) {
            return Ok(Some(*number));
        }
        match page.last() {
            Some((last, _)) if page.len() == POINTS_PAGE as usize => before = *last,
            _ => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> NewExport {
        NewExport {
            chains: vec![ChainId::new(1)],
            when: When::Newest,
            form: ExportForm::default(),
            selection: None,
            passphrase: None,
            destination: Destination::Download,
            keep_hours: 1,
        }
    }

    fn refused(new: &NewExport) -> String {
        check(new).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_meant_is_refused_in_words() {
        let two = || vec![ChainId::new(1), ChainId::new(2)];
        let to = |name: &str| Destination::Directory { directory: "/x".into(), name: Some(name.into()) };

        assert!(check(&new()).is_ok());
        assert!(check(&NewExport { chains: two(), ..new() }).is_ok());
        assert!(refused(&NewExport { chains: Vec::new(), ..new() }).contains("chains"));
        assert!(
            refused(&NewExport { chains: two(), when: When::Point(PointNumber::new(1)), ..new() }).contains("time")
        );
        assert!(refused(&NewExport { selection: Some(ExportSelection::default()), ..new() }).contains("selection"));
        assert!(refused(&NewExport { keep_hours: 0, ..new() }).contains("keep_hours"));
        assert!(refused(&NewExport { passphrase: Some(Secret::new("short".into())), ..new() }).contains("12 to 200"));
        assert!(refused(&NewExport { destination: to("../etc"), ..new() }).contains("name for a file"));
        assert!(check(&NewExport { destination: to("ann 2026"), ..new() }).is_ok());
    }
}

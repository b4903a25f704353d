//! `kodo restore --user …`: what is wanted, as a request.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use clap::{Args, ValueEnum};

use crate::api::Ref;
use crate::api::browse::BrowseView;
use crate::api::restores::{Between, NewRestoreBody, RestoreStarted, TargetPair};
use crate::cli::exit::CliError;
use crate::cli::output::remark;
use crate::cli::{Session, progress};
use crate::features::OnConflict;
use crate::ids::{ChainId, FeatureName, PointNumber};

const FEATURE_DEFAULT: &str = "mailbox";

#[derive(Debug, Args)]
pub(super) struct Start {
    /// Whose data, by id or address; can be repeated
    #[arg(long = "user", value_name = "USER", required_unless_present = "chain")]
    users: Vec<Ref>,
    /// Which data; can be repeated [default: mailbox]
    #[arg(long = "feature", value_name = "FEATURE", conflicts_with = "chain")]
    features: Vec<FeatureName>,
    /// All data of the users
    #[arg(long, conflicts_with_all = ["features", "chain"])]
    all_features: bool,
    /// The chain, instead of user and feature
    #[arg(long, conflicts_with = "users")]
    chain: Option<ChainId>,
    /// As of this restore point [default: the newest]
    #[arg(long)]
    point: Option<PointNumber>,
    /// As everything was at this moment, such as 2026-11-25T14:30:00Z or "2026-11-25 14:30" (UTC)
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "point")]
    as_of: Option<DateTime<Utc>>,
    /// Only what was there at the first moment and gone at the second
    #[arg(long, num_args = 2, value_names = ["FROM", "TO"], value_parser = moment, conflicts_with_all = ["point", "as_of"])]
    deleted_between: Vec<DateTime<Utc>>,
    /// Into this user's data instead, by id or address
    #[arg(long, value_name = "USER")]
    to_user: Option<Ref>,
    /// Of several users: into whose data each one's goes; can be repeated
    #[arg(long = "map", value_name = "FROM=TO", value_parser = pair, conflicts_with = "to_user")]
    targets: Vec<TargetPair>,
    /// Into a new folder at the top, instead of where each item was
    #[arg(long, value_name = "FOLDER")]
    to_folder: Option<String>,
    /// The same, called after the moment of the restore point
    #[arg(long, conflicts_with = "to_folder")]
    to_new_folder: bool,
    /// Only what is directly in this folder, such as Inbox/Projects; of a drive all that is below it; can be repeated
    #[arg(long = "folder", value_name = "PATH")]
    folders: Vec<String>,
    /// Only this item, by its key; of a drive's folder all that is below it; can be repeated
    #[arg(long = "item", value_name = "KEY")]
    items: Vec<String>,
    /// When another state of an item is there
    #[arg(long, value_enum, default_value_t = Conflict::Skip)]
    on_conflict: Conflict,
    /// Bring files back with their older versions, where the backup holds them: each is an upload of its own
    #[arg(long)]
    with_versions: bool,
    /// Let those in again whom files and folders were shared with; nobody is told by mail, and links are not made anew
    #[arg(long)]
    with_permissions: bool,
    /// Write nothing: tell what would be done and how long it would take
    #[arg(long)]
    dry_run: bool,
    /// Wait until it is done
    #[arg(long)]
    wait: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Conflict {
    /// Leave what is there as it is
    Skip,
    /// Create the item of the backup beside it
    KeepBoth,
    /// Make what is there as the backup has it
    Replace,
    /// The same, where it was modified before the item of the backup was
    ReplaceIfOlder,
}

impl From<Conflict> for OnConflict {
    fn from(conflict: Conflict) -> Self {
        match conflict {
            Conflict::Skip => Self::Skip,
            Conflict::KeepBoth => Self::KeepBoth,
            Conflict::Replace => Self::Replace,
            Conflict::ReplaceIfOlder => Self::ReplaceIfOlder,
        }
    }
}

/// A moment with its zone, or in UTC without.
fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.with_timezone(&Utc));
    }
    let formats = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"];
    let with_time = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let midnight = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    let at = with_time.or_else(midnight);
    at.map(|at| at.and_utc()).ok_or_else(|| "write it as 2026-11-25T14:30:00Z or \"2026-11-25 14:30\" (UTC)".to_owned())
}

fn pair(text: &str) -> Result<TargetPair, String> {
    let wrong = || "write it as FROM=TO, two users by id or address".to_owned();
    let (from, to) = text.split_once('=').ok_or_else(wrong)?;
    Ok(TargetPair { from: from.parse().map_err(|_| wrong())?, to: to.parse().map_err(|_| wrong())? })
}

impl Start {
    /// The one user and feature that are meant, if they are.
    fn single(&self) -> Option<(Ref, FeatureName)> {
        match (self.users.as_slice(), self.features.as_slice(), self.all_features) {
            ([user], [], false) => Some((user.clone(), FEATURE_DEFAULT.parse().ok()?)),
            ([user], [feature], false) => Some((user.clone(), feature.clone())),
            _ => None,
        }
    }

    fn body(&self) -> NewRestoreBody {
        let mut body = NewRestoreBody {
            chain: self.chain,
            point: self.point,
            as_of: self.as_of,
            target_resource: self.to_user.clone(),
            targets: (!self.targets.is_empty()).then(|| self.targets.clone()),
            target_folder: self.to_folder.clone(),
            into_new_folder: self.to_new_folder,
            items: (!self.items.is_empty()).then(|| self.items.clone()),
            on_conflict: Some(self.on_conflict.into()),
            dry_run: self.dry_run,
            with_versions: self.with_versions,
            with_permissions: self.with_permissions,
            ..NewRestoreBody::default()
        };
        if let [from, to] = self.deleted_between[..] {
            body.deleted_between = Some(Between { from, to });
        }
        match self.single() {
            Some((user, feature)) => {
                body.resource = Some(user);
                body.feature = Some(feature);
            }
            None if self.chain.is_none() => {
                body.resources = Some(self.users.clone());
                let default = || FEATURE_DEFAULT.parse().map(|feature| vec![feature]).unwrap_or_default();
                let named = if self.features.is_empty() { default() } else { self.features.clone() };
                body.features = (!self.all_features).then_some(named);
            }
            None => {}
        }
        body
    }

    /// How the chain is named whose folders are looked up.
    fn chain_query(&self) -> Result<Vec<(&'static str, String)>, CliError> {
        match (self.chain, self.single()) {
            (Some(chain), _) => Ok(vec![("chain", chain.to_string())]),
            (None, Some((user, feature))) => Ok(vec![("resource", user.to_path()), ("feature", feature.to_string())]),
            (None, None) => Err(CliError::Failed(
                "a folder is one of one user and feature: name one --user and one --feature with it".to_owned(),
            )),
        }
    }
}

pub(super) async fn start(session: &Session, start: Start) -> Result<(), CliError> {
    let mut body = start.body();
    for path in &start.folders {
        if start.as_of.is_some() || !start.deleted_between.is_empty() {
            return Err(CliError::Failed(
                "a folder is looked up in one restore point: give --point with it".to_owned(),
            ));
        }
        let mut query = start.chain_query()?;
        query.extend(start.point.map(|point| ("point", point.to_string())));
        query.extend([("path", path.clone()), ("limit", "1".to_owned())]);
        let place: BrowseView = session.client.get("browse", &query).await?;
        match place.folders.last() {
            Some(folder) => body.items.get_or_insert_default().push(folder.key.clone()),
            None => {
                let containers = body.containers.get_or_insert_default();
                containers.extend(place.path.last().map(|container| container.id));
            }
        }
        // The point that the folders were looked up in is the one to restore, even when a newer is sealed meanwhile.
        body.point = Some(place.point);
    }
    let started: RestoreStarted = session.client.post("restores", &body).await?;
    for why in &started.left_out {
        remark(&format!("left out: {why}"))?;
    }
    if start.wait {
        return progress::wait_for_restore(session, started.restore_id).await;
    }
    let line = format!("restore {0} queued\nnext: kodo restore show {0} --wait", started.restore_id);
    session.out.done(&started, &line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_with_its_zone_or_as_utc() {
        let told = |text: &str| moment(text).unwrap().to_rfc3339();

        assert_eq!(told("2026-11-25T14:30:05+02:00"), "2026-11-25T12:30:05+00:00");
        assert_eq!(told("2026-11-25 14:30"), "2026-11-25T14:30:00+00:00");
        assert_eq!(told("2026-11-25"), "2026-11-25T00:00:00+00:00");
        assert!(moment("yesterday").unwrap_err().contains("2026-11-25T14:30:00Z"));
    }

    #[test]
    fn users_are_mapped_by_pairs() {
        let mapped = pair("ann@contoso.com=bob@fabrikam.com").unwrap();

        assert_eq!(mapped.from, "ann@contoso.com".parse().unwrap());
        assert_eq!(mapped.to, "bob@fabrikam.com".parse().unwrap());
        assert!(pair("ann@contoso.com").is_err());
    }
}

//! `kodo audit`.

use super::exit::CliError;
use super::output::time;
use super::{Limit, Session};
use crate::api::audit::AuditView;

pub async fn run(session: &Session, Limit { limit }: Limit) -> Result<(), CliError> {
    let page = session.client.list::<AuditView>("audit", &[], limit).await?;
    session.out.list(&page, &["at (UTC)", "admin", "from", "action", "details"], |view| {
        vec![
            time(view.at),
            view.admin_name.clone(),
            view.address.clone(),
            view.action.clone(),
            view.details.to_string(),
        ]
    })
}

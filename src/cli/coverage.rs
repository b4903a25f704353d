//! `kodo coverage`: what is protected, how much of it, and what is not.

use clap::Args;

use super::Session;
use super::client::segment;
use super::exit::CliError;
use super::output::{self, bytes, count, or_dash, time_or_dash};
use crate::api::coverage::{CoverageView, FeatureCoverage, FeatureTotals, TotalsView};
use crate::api::{Page, Ref};

#[derive(Debug, Args)]
pub struct Coverage {
    /// One resource in detail, by id or address; left out: totals of every tenant
    resource: Option<Ref>,
    /// Also list the containers whose counts agree
    #[arg(long, requires = "resource")]
    all: bool,
}

pub async fn run(session: &Session, coverage: Coverage) -> Result<(), CliError> {
    match coverage.resource {
        None => totals(session).await,
        Some(resource) => {
            let path = format!("resources/{}/coverage", segment(&resource.to_path()));
            let view: CoverageView = session.client.get(&path, &[]).await?;
            of_resource(session, view, coverage.all)
        }
    }
}

/// A state as people read it, such as "protected, with 3 exceptions".
pub fn state_text(state: &str, exceptions: u64) -> String {
    match (state, exceptions) {
        ("protected_with_exceptions", 1) => "protected, with 1 exception".to_owned(),
        ("protected_with_exceptions", n) => format!("protected, with {} exceptions", count(n)),
        ("unprotected", _) => "not protected yet".to_owned(),
        ("not_applicable", _) => "not applicable".to_owned(),
        (state, _) => state.to_owned(),
    }
}

async fn totals(session: &Session) -> Result<(), CliError> {
    let view: TotalsView = session.client.get("coverage", &[]).await?;
    if session.out.json {
        return session.out.done(&view, "");
    }
    let mut rows = Vec::new();
    for tenant in view.tenants {
        let (who, organization) = (format!("{} ({})", tenant.name, tenant.resources), tenant.organization_id);
        let row = |(feature, totals)| (organization.to_string(), who.clone(), feature, totals);
        rows.extend(tenant.features.into_iter().map(row));
    }
    let headers = [
        "organization",
        "tenant (resources)",
        "feature",
        "protected",
        "with exceptions",
        "not yet",
        "not applicable",
        "exceptions",
        "oldest (UTC)",
    ];
    let page: Page<(String, String, String, FeatureTotals)> = Page::of_all(rows);
    session.out.list(&page, &headers, |(organization, tenant, feature, totals)| {
        vec![
            organization.clone(),
            tenant.clone(),
            feature.clone(),
            count(totals.protected),
            count(totals.protected_with_exceptions),
            count(totals.unprotected),
            count(totals.not_applicable),
            count(totals.exceptions),
            time_or_dash(totals.oldest_sealed_at),
        ]
    })
}

fn of_resource(session: &Session, view: CoverageView, all: bool) -> Result<(), CliError> {
    if session.out.json {
        return session.out.done(&view, "");
    }
    output::remark(&format!("{}, {}", view.address, view.resource_state))?;
    let page = Page::of_all(view.features);
    let headers = ["feature", "state", "last point", "of (UTC)", "items", "service counts", "size"];
    session.out.list(&page, &headers, |view| {
        let chain = view.chain.as_ref();
        let why = chain.and_then(|chain| chain.state_detail.as_ref()).map(|why| format!(": {why}"));
        let state = state_text(&view.state, chain.map_or(0, |chain| chain.exceptions));
        vec![
            view.feature.clone(),
            format!("{state}{}", why.unwrap_or_default()),
            or_dash(chain.and_then(|chain| chain.last_point)),
            time_or_dash(chain.and_then(|chain| chain.sealed_at)),
            count(view.items),
            view.service_items.map_or_else(|| "-".to_owned(), count),
            bytes(view.bytes),
        ]
    })?;
    page.items.iter().try_for_each(|feature| containers(feature, all))
}

fn containers(view: &FeatureCoverage, all: bool) -> Result<(), CliError> {
    let mut table = output::plain_table();
    for container in view.containers.iter().filter(|one| all || one.differs || one.exceptions > 0) {
        let counts = match container.service_items {
            Some(counted) => format!("{} of {}", count(container.items), count(counted)),
            None => count(container.items),
        };
        let exceptions = match container.exceptions {
            0 => String::new(),
            n => format!("{} exceptions", count(n)),
        };
        table.add_row([format!("{}/{}", view.feature, container.path), counts, exceptions]);
    }
    for left_out in &view.passed_over {
        table.add_row([format!("{}/{}", view.feature, left_out.name), "left out".to_owned(), left_out.why.clone()]);
    }
    if table.is_empty() {
        return Ok(());
    }
    output::print("")?;
    output::print_table(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_told_with_the_state() {
        assert_eq!(state_text("protected", 0), "protected");
        assert_eq!(state_text("protected_with_exceptions", 1), "protected, with 1 exception");
        assert_eq!(state_text("protected_with_exceptions", 1234), "protected, with 1,234 exceptions");
    }
}

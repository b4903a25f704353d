//! The table of all routes: what there is, and what it asks of its caller.

use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::middleware::{Next, from_fn};
use actix_web::{HttpRequest, Route, web};

use super::error::ApiError;
use super::{
    agents, audit, auth, backups, browse, coverage, export_download, exports, findings, health, issues, item_file,
    items, keys, organizations, points, policies, preview, rehearsal_schedules, rehearsals, resources, restores, runs,
    schedules, search, status, storages, tasks, tenants, upkeep, versions,
};
use crate::access::Permission;

pub const PREFIX: &str = "/api/v1";

/// One route below [`PREFIX`].
pub struct RouteRow {
    pub method: Method,
    pub path: &'static str,
    pub needs: Permission,
    handler: fn() -> Route,
}

const fn get(path: &'static str, needs: Permission, handler: fn() -> Route) -> RouteRow {
    RouteRow { method: Method::GET, path, needs, handler }
}

const fn post(path: &'static str, needs: Permission, handler: fn() -> Route) -> RouteRow {
    RouteRow { method: Method::POST, path, needs, handler }
}

use Permission::{Browse, Configure, ManageAdmins, Read, Restore, StartRuns};

/// Every route of the API. A route that is not here does not exist.
pub const ROUTES: &[RouteRow] = &[
    get("/organizations", Read, || web::to(organizations::list)),
    post("/organizations", Configure, || web::to(organizations::add)),
    get("/tenants", Read, || web::to(tenants::list)),
    post("/tenants", Configure, || web::to(tenants::add)),
    post("/tenants/{tenant}/credential", Configure, || web::to(tenants::replace_credential)),
    post("/tenants/{tenant}/check", Configure, || web::to(tenants::check)),
    post("/tenants/{tenant}/sync", StartRuns, || web::to(tenants::sync)),
    get("/resources", Read, || web::to(resources::list)),
    get("/resources/{resource}/coverage", Browse, || web::to(coverage::of_resource)),
    get("/coverage", Read, || web::to(coverage::totals)),
    get("/storages", Read, || web::to(storages::list)),
    post("/storages", Configure, || web::to(storages::add)),
    post("/storages/attach", Configure, || web::to(storages::attach)),
    get("/storages/{storage}/keys", Configure, || web::to(keys::list)),
    post("/storages/{storage}/keys", Configure, || web::to(keys::add)),
    post("/storages/{storage}/keys/rotate", Configure, || web::to(keys::rotate)),
    post("/storages/{storage}/keys/{key}/remove", Configure, || web::to(keys::remove)),
    post("/storages/{storage}/prune", Configure, || web::to(upkeep::prune)),
    post("/storages/{storage}/collect", Configure, || web::to(upkeep::collect)),
    post("/storages/{storage}/verify", StartRuns, || web::to(upkeep::verify)),
    get("/storages/{storage}/verifications", Read, || web::to(findings::verifications)),
    get("/storages/{storage}/findings", Browse, || web::to(findings::list)),
    get("/policies", Read, || web::to(policies::list)),
    post("/policies", Configure, || web::to(policies::add)),
    get("/policies/{policy}", Read, || web::to(policies::show)),
    post("/policies/{policy}/options", Configure, || web::to(policies::choose)),
    post("/policies/{policy}/retention", Configure, || web::to(policies::keep)),
    post("/policies/{policy}/content", Configure, || web::to(policies::hand_out)),
    get("/schedules", Read, || web::to(schedules::list)),
    post("/schedules", Configure, || web::to(schedules::add)),
    post("/schedules/{schedule}/run", StartRuns, || web::to(schedules::run)),
    post("/backups", StartRuns, || web::to(backups::start)),
    get("/runs", Read, || web::to(runs::list)),
    get("/runs/{run}", Read, || web::to(runs::show)),
    post("/runs/{run}/cancel", StartRuns, || web::to(runs::cancel)),
    get("/tasks", Read, || web::to(tasks::list)),
    get("/tasks/{task}", Read, || web::to(tasks::show)),
    post("/tasks/{task}/cancel", StartRuns, || web::to(tasks::cancel)),
    get("/agents", Read, || web::to(agents::list)),
    get("/chains", Read, || web::to(points::chains)),
    get("/points", Read, || web::to(points::list)),
    post("/points/delete", Configure, || web::to(points::delete)),
    get("/browse", Browse, || web::to(browse::browse)),
    get("/items/{chain}/{point}/{key}", Browse, || web::to(items::show)),
    get("/items/{chain}/{point}/{key}/content", Browse, || web::to(items::content)),
    get("/items/{chain}/{point}/{key}/preview", Browse, || web::to(preview::show)),
    get("/versions/{chain}/{key}", Browse, || web::to(versions::list)),
    get("/search", Browse, || web::to(search::search)),
    get("/items/{chain}/{point}/{key}/file", Browse, || web::to(item_file::file)),
    get("/issues", Browse, || web::to(issues::list)),
    post("/issues/retry", StartRuns, || web::to(issues::retry)),
    get("/restores", Read, || web::to(restores::list)),
    post("/restores", Restore, || web::to(restores::start)),
    get("/restores/{restore}", Read, || web::to(restores::show)),
    get("/restores/{restore}/report", Browse, || web::to(restores::report::show)),
    post("/restores/{restore}/cancel", Restore, || web::to(restores::cancel)),
    post("/restores/{restore}/retry", Restore, || web::to(restores::retry)),
    get("/rehearsals", Read, || web::to(rehearsals::list)),
    post("/rehearsals", Restore, || web::to(rehearsals::start)),
    get("/rehearsals/{rehearsal}", Read, || web::to(rehearsals::show)),
    post("/rehearsals/{rehearsal}/cancel", Restore, || web::to(rehearsals::cancel)),
    get("/rehearsal_schedules", Read, || web::to(rehearsal_schedules::list)),
    post("/rehearsal_schedules", Configure, || web::to(rehearsal_schedules::set)),
    post("/rehearsal_schedules/{organization}/remove", Configure, || web::to(rehearsal_schedules::remove)),
    get("/exports", Read, || web::to(exports::list)),
    post("/exports", Restore, || web::to(exports::start)),
    get("/exports/{export}", Read, || web::to(exports::show)),
    get("/exports/{export}/download", Restore, || web::to(export_download::download)),
    get("/audit", ManageAdmins, || web::to(audit::list)),
    get("/status", Read, || web::to(status::show)),
];

pub fn configure(service: &mut web::ServiceConfig) {
    health::configure(service);
    let mut api = web::scope(PREFIX);
    for (index, row) in ROUTES.iter().enumerate() {
        // A path with several methods is one resource, made at its first row.
        if ROUTES[..index].iter().any(|before| before.path == row.path) {
            continue;
        }
        let mut resource = web::resource(row.path).default_service(web::to(wrong_method));
        for row in ROUTES.iter().filter(|other| other.path == row.path) {
            let needs = row.needs;
            let guard = move |request: ServiceRequest, next: Next<_>| auth::require(needs, request, next);
            resource = resource.route((row.handler)().method(row.method.clone()).wrap(from_fn(guard)));
        }
        api = api.service(resource);
    }
    service.service(api.default_service(web::to(nothing_here)).wrap(from_fn(auth::authenticate)));
    service.default_service(web::to(nothing_here));
}

async fn nothing_here(request: HttpRequest) -> Result<&'static str, ApiError> {
    Err(ApiError::NotFound(format!("there is nothing at {}", request.path())))
}

async fn wrong_method(request: HttpRequest) -> Result<&'static str, ApiError> {
    Err(ApiError::MethodNotAllowed { method: request.method().to_string(), path: request.path().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_that_writes_asks_for_more_than_looking() {
        for row in ROUTES.iter().filter(|row| row.method != Method::GET) {
            assert!(!matches!(row.needs, Read | Browse), "{} {} could be called by a viewer", row.method, row.path);
        }
    }

    #[test]
    fn no_route_stands_twice() {
        for (index, row) in ROUTES.iter().enumerate() {
            let twice = ROUTES[..index].iter().any(|other| other.path == row.path && other.method == row.method);
            assert!(!twice, "{} {}", row.method, row.path);
        }
    }
}

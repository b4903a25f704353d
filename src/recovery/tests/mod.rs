//! What records mean together, against a model; and rebuilds, against a real MariaDB.

mod broken;
mod drives;
mod history;
mod loading;
mod rebuilds;
mod searching;

use std::sync::Arc;

use crate::repository::ChainIdentity;

fn identity(user: &str) -> Arc<ChainIdentity> {
    Arc::new(ChainIdentity {
        entra_tenant_id: "contoso.example".into(),
        resource_graph_id: format!("id of {user}"),
        resource_kind: "user".into(),
        resource_name: user.into(),
        address: format!("{user}@contoso.example"),
        feature: "mailbox".into(),
    })
}

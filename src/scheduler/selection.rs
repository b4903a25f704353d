//! Who a schedule backs up, as the administrator said it; resolved to resources when a run is planned.

use serde::{Deserialize, Serialize};

use crate::ids::{ResourceId, TenantId};

/// JSON: `{"tenant":1,"everyone":true}` or `{"tenant":1,"resources":[5,9]}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Selection {
    pub tenant: TenantId,
    pub who: Who,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Every resource that the tenant has at the moment of the run.
    Everyone,
    Resources(Vec<ResourceId>),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    tenant: TenantId,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    everyone: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resources: Option<Vec<ResourceId>>,
}

impl TryFrom<Wire> for Selection {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        let who = match (wire.everyone, wire.resources) {
            (true, None) => Who::Everyone,
            (false, Some(resources)) if !resources.is_empty() => Who::Resources(resources),
            (false, Some(_)) => return Err("the selection names no resource"),
            (true, Some(_)) => return Err("a selection is either everyone or a list of resources"),
            (false, None) => return Err("a selection says \"everyone\": true or lists \"resources\""),
        };
        Ok(Self { tenant: wire.tenant, who })
    }
}

impl From<Selection> for Wire {
    fn from(selection: Selection) -> Self {
        let (everyone, resources) = match selection.who {
            Who::Everyone => (true, None),
            Who::Resources(resources) => (false, Some(resources)),
        };
        Self { tenant: selection.tenant, everyone, resources }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_is_everyone_or_a_list_and_nothing_else() {
        let everyone = Selection { tenant: TenantId::new(1), who: Who::Everyone };
        let some = Selection { tenant: TenantId::new(1), who: Who::Resources(vec![ResourceId::new(5)]) };
        for (selection, json) in
            [(everyone, r#"{"tenant":1,"everyone":true}"#), (some, r#"{"tenant":1,"resources":[5]}"#)]
        {
            assert_eq!(serde_json::to_string(&selection).unwrap(), json);
            assert_eq!(serde_json::from_str::<Selection>(json).unwrap(), selection);
        }
        for wrong in
            [r#"{"tenant":1}"#, r#"{"tenant":1,"resources":[]}"#, r#"{"tenant":1,"everyone":true,"groups":[]}"#]
        {
            assert!(serde_json::from_str::<Selection>(wrong).is_err(), "{wrong}");
        }
    }
}

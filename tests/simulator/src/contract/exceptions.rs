//! What Graph does and its published metadata does not say: one table per kind, each row with the
//! reason and where that can be read. Whole operations and types that the published part lacks stand in
//! `contract/additions.openapi.json`, each with its `x-source`. Sources without a host are pages below
//! learn.microsoft.com/graph/.

use super::value::Side;

/// `(end of the path template, query option, why)`; `*` is every path.
const OPTIONS: [(&str, &str, &str); 6] = [
    ("*", "$skiptoken", "links of pages carry it; delta-query-overview, paging"),
    ("*", "$deltatoken", "links of delta carry it; delta-query-overview"),
    ("/mailFolders/{mailFolder-id}/messages/delta", "changeType", "api/message-delta: created, updated or deleted"),
    ("/mailFolders/delta", "includeHiddenFolders", "api/user-list-mailfolders has it, delta takes and ignores it"),
    ("/root/delta", "token", "api/driveitem-delta: ?token=latest, and the links of drives"),
    ("/root/delta", "$top", "api/driveitem-delta: $select, $expand and $top are supported"),
];

const SIZE_IN_BYTES: &str = "answered by the service; microsoftgraph/microsoft-graph-docs-contrib pull request 9463";

/// `(type, property, why)`: members that are none of the type's; `*` is any name.
const MEMBERS: [(&str, &str, &str); 9] = [
    ("microsoft.graph.sharePointIdentity", "email", "samples of api/driveitem-list-permissions have it"),
    (
        "microsoft.graph.identity",
        "email",
        "samples of resources/driveitem have it; identity is an open set in what drives answer",
    ),
    ("microsoft.graph.mailFolder", "sizeInBytes", SIZE_IN_BYTES),
    ("microsoft.graph.mailSearchFolder", "sizeInBytes", SIZE_IN_BYTES),
    ("mailFolderDeltaItem", "sizeInBytes", SIZE_IN_BYTES),
    ("microsoft.graph.openTypeExtension", "*", "an open type; resources/opentypeextension"),
    ("microsoft.graph.fieldValueSet", "*", "an open type; resources/fieldvalueset"),
    (
        "microsoft.graph.referenceAttachment",
        "sourceUrl",
        "resources/referenceattachment, beta; v1.0 answers it at times",
    ),
    ("groupDeltaItem", "members@delta", "api/group-delta: how membership changes are told"),
];

/// `(type, what $select may name though it is no property, why)`.
const SELECTIONS: [(&str, &str, &str); 4] = [
    (
        "microsoft.graph.driveItem",
        "@microsoft.graph.downloadUrl",
        "resources/driveitem: an annotation that must be asked for",
    ),
    ("microsoft.graph.driveItem", "content.downloadUrl", "alcionai/corso pkg/services/m365/api: what brings the URL"),
    ("driveItemDeltaItem", "@microsoft.graph.downloadUrl", "resources/driveitem: an annotation that must be asked for"),
    ("driveItemDeltaItem", "content.downloadUrl", "alcionai/corso pkg/services/m365/api: what brings the URL"),
];

/// `(method, end of the path template, status, why)`: successes that the metadata does not list.
const STATUSES: [(&str, &str, u16, &str); 3] = [
    ("GET", "/content", 302, "api/driveitem-get-content: a redirect to the download URL"),
    ("GET", "/content", 206, "api/driveitem-get-content: a range of it"),
    ("GET", "/content", 304, "api/driveitem-get-content: if-none-match"),
];

/// Error answers that are not the error object: `(status, content type, why)`.
const ERRORS: [(u16, &str, &str); 6] = [
    (404, "", "empty bodies are seen; alcionai/corso pkg/services/m365/api/graph/errors.go"),
    (503, "", "empty bodies are seen, most of all on events delta; same source"),
    (416, "", "the download host answers without body; api/driveitem-get-content"),
    (502, "text/html", "pages of a gateway before Graph; alcionai/corso, same source"),
    (503, "text/html", "pages of a gateway before Graph; alcionai/corso, same source"),
    (504, "text/html", "pages of a gateway before Graph; alcionai/corso, same source"),
];

/// Annotations of requests that have a meaning there, besides `@odata.type`.
const REQUEST_ANNOTATIONS: [(&str, &str); 3] = [
    ("@odata.bind", "odata.org, JSON format 4.01, 8.5: a reference to what is there"),
    ("@microsoft.graph.conflictBehavior", "resources/driveitem: fail, replace or rename"),
    ("@microsoft.graph.sourceUrl", "api/driveitem-createuploadsession: commits after a name conflict"),
];

/// Members that OData, not the type, gives a meaning.
pub fn is_annotation(name: &str, side: Side) -> bool {
    match side {
        Side::Answer => name.contains("@odata.") || name.starts_with("@microsoft.graph."),
        Side::Request => {
            name.ends_with("@odata.type") || REQUEST_ANNOTATIONS.iter().any(|(known, _)| name.ends_with(known))
        }
    }
}

pub fn is_extra_member(of: &str, name: &str) -> bool {
    MEMBERS.iter().any(|(kind, member, _)| *kind == of && (*member == "*" || *member == name))
}

pub fn is_extra_option(template: &str, name: &str) -> bool {
    OPTIONS.iter().any(|(path, option, _)| *option == name && (*path == "*" || template.ends_with(path)))
}

pub fn is_extra_selection(of: &str, name: &str) -> bool {
    SELECTIONS.iter().any(|(kind, selection, _)| *kind == of && *selection == name)
}

pub fn is_extra_status(method: &str, template: &str, status: u16) -> bool {
    STATUSES.iter().any(|(one, path, other, _)| *one == method && *other == status && template.ends_with(path))
}

/// `content_type` is empty for an empty body.
pub fn is_other_error(status: u16, content_type: &str) -> bool {
    ERRORS.iter().any(|(one, kind, _)| *one == status && *kind == content_type)
}

#[cfg(test)]
mod tests {
    use super::super::model::Contract;
    use super::*;

    #[test]
    fn every_exception_is_about_something_that_the_contract_has_and_lacks() {
        let contract = Contract::compiled();
        let templates: Vec<&str> = contract.paths.iter().map(|item| item.template.text.as_str()).collect();
        for (path, ..) in OPTIONS.iter().filter(|(path, ..)| *path != "*") {
            assert!(templates.iter().any(|template| template.ends_with(path)), "{path}");
        }
        for (kind, member, _) in MEMBERS {
            let of = &contract.types[contract.type_ids[kind]];
            assert!(!of.members.contains_key(member), "{kind} has {member} by now");
        }
        for (kind, ..) in SELECTIONS {
            assert!(contract.type_ids.contains_key(kind), "{kind}");
        }
        for (_, path, ..) in STATUSES {
            assert!(templates.iter().any(|template| template.ends_with(path)), "{path}");
        }
    }
}

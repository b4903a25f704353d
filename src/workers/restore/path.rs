//! Where a container comes back: the steps from the top of the target to it.

use std::collections::HashMap;

use crate::catalog::Container;
use crate::features::{self, PathStep};
use crate::ids::ContainerId;

/// Containers nested deeper than this are not Exchange's (its limit is 300) but a damaged catalog's.
const DEPTH_MAX: usize = 400;

/// The steps from the top of the target to where a container comes back.
pub(super) fn path_of(
    container: &Container,
    by_id: &HashMap<ContainerId, &Container>,
    below: Option<&str>,
) -> Vec<PathStep> {
    let mut path = Vec::new();
    let mut step = Some(container);
    while let Some(container) = step.filter(|_| path.len() < DEPTH_MAX) {
        // Below a new folder of its own, a default folder comes back as an ordinary one of the same name.
        let stays = |name: &String| below.is_none() || name.starts_with(features::OWN_CONTAINER);
        let well_known = container.well_known.clone().filter(stays);
        path.push(PathStep { name: container.name.clone(), well_known, hidden: container.hidden });
        step = container.parent.and_then(|parent| by_id.get(&parent).copied());
    }
    if let Some(below) = below {
        path.push(PathStep { name: below.to_owned(), well_known: None, hidden: false });
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(id: u32, parent: Option<u32>, name: &str, well_known: Option<&str>) -> Container {
        Container {
            id: ContainerId::new(id),
            from: crate::ids::PointNumber::new(1),
            graph_id: String::new(),
            well_known: well_known.map(str::to_owned),
            parent: parent.map(ContainerId::new),
            name: name.to_owned(),
            hidden: false,
            cursors: crate::catalog::containers::Cursors::default(),
        }
    }

    #[test]
    fn a_nested_folder_comes_back_below_its_parents_or_below_the_folder_that_was_asked_for() {
        let inbox = container(1, None, "Posteingang", Some("inbox"));
        let projects = container(2, Some(1), "Projects", None);
        let by_id = HashMap::from([(inbox.id, &inbox), (projects.id, &projects)]);
        let names = |path: Vec<PathStep>| path.into_iter().map(|step| (step.name, step.well_known)).collect::<Vec<_>>();

        let in_place = names(path_of(&projects, &by_id, None));
        let below = names(path_of(&projects, &by_id, Some("Restored")));

        let step = |name: &str, well_known: Option<&str>| (name.to_owned(), well_known.map(str::to_owned));
        assert_eq!(in_place, [step("Posteingang", Some("inbox")), step("Projects", None)]);
        assert_eq!(below, [step("Restored", None), step("Posteingang", None), step("Projects", None)]);
    }
}

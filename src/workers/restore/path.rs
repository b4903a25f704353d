//! Where a container comes back: the steps from the top of the target to it.

use std::collections::HashMap;

use crate::catalog::Container;
use crate::features::{self, Feature, PathStep};
use crate::ids::ContainerId;

/// Containers nested deeper than this are not Exchange's (its limit is 300) but a damaged catalog's.
const DEPTH_MAX: usize = 400;

/// The containers of a restore point.
pub(super) struct Tree {
    pub all: Vec<Container>,
    by_id: HashMap<ContainerId, usize>,
}

impl Tree {
    /// What kodo made up comes last: the rules of a mailbox name folders that come back before them.
    pub fn new(mut all: Vec<Container>) -> Self {
        all.sort_by_key(|container| container.graph_id.starts_with(features::OWN_CONTAINER));
        let by_id = all.iter().enumerate().map(|(at, container)| (container.id, at)).collect();
        Self { all, by_id }
    }

    pub fn get(&self, id: ContainerId) -> Option<&Container> {
        self.all.get(*self.by_id.get(&id)?)
    }

    /// The container of the parts of items, if the feature brings them back with their items.
    pub fn parts(&self, feature: &dyn Feature) -> Option<ContainerId> {
        feature.restoring().filter(|restoring| restoring.brings_back_parts())?;
        let own = self.all.iter().find(|container| features::holds_parts(feature.name(), &container.graph_id));
        own.map(|container| container.id)
    }

    /// The steps from the top of the target to where a container comes back: below the folder `below`, if one is
    /// wanted. A container that holds folders of its own, such as a drive, stays the first step, and `below` follows.
    pub fn path_to(&self, container: &Container, below: Option<&str>, holds_folders: bool) -> Vec<PathStep> {
        let mut path = Vec::new();
        let mut step = Some(container);
        while let Some(container) = step.filter(|_| path.len() < DEPTH_MAX) {
            // Below a new folder of its own, a default folder comes back as an ordinary one of the same name.
            let stays = |name: &String| below.is_none() || holds_folders || name.starts_with(features::OWN_CONTAINER);
            let well_known = container.well_known.clone().filter(stays);
            path.push(PathStep { name: container.name.clone(), well_known, hidden: container.hidden });
            step = container.parent.and_then(|parent| self.get(parent));
        }
        path.reverse();
        if let Some(below) = below {
            let at = if holds_folders { path.len() } else { 0 };
            path.insert(at, PathStep::folder(below));
        }
        path
    }
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
        let tree = Tree::new(vec![inbox, projects.clone()]);
        let names = |path: Vec<PathStep>| path.into_iter().map(|step| (step.name, step.well_known)).collect::<Vec<_>>();

        let in_place = names(tree.path_to(&projects, None, false));
        let below = names(tree.path_to(&projects, Some("Restored"), false));

        let step = |name: &str, well_known: Option<&str>| (name.to_owned(), well_known.map(str::to_owned));
        assert_eq!(in_place, [step("Posteingang", Some("inbox")), step("Projects", None)]);
        assert_eq!(below, [step("Restored", None), step("Posteingang", None), step("Projects", None)]);
    }

    #[test]
    fn what_is_asked_into_a_folder_of_a_drive_stays_in_the_drive() {
        let drive = container(1, None, "OneDrive", Some("drive"));
        let tree = Tree::new(vec![drive.clone()]);

        let below: Vec<String> =
            tree.path_to(&drive, Some("Restored"), true).into_iter().map(|step| step.name).collect();

        assert_eq!(below, ["OneDrive", "Restored"]);
    }
}

//! The query options of a request against its operation: which there may be, and the names in them.

use super::exceptions;
use super::model::{Contract, Operation, Shape, Slot, TypeId};
use super::value::Finding;
use crate::graph::odata::split_outside;
use crate::request::{Request, decode};

/// Deeper than Graph expands.
const EXPAND_DEPTH_MAX: usize = 3;

pub fn check(contract: &Contract, template: &str, operation: &Operation, request: &Request) -> Vec<Finding> {
    let mut found = Vec::new();
    let item = item_type(contract, operation);
    for pair in request.raw_query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name), decode(&value.replace('+', " ")));
        let Some(slot) = operation.options.get(&name) else {
            if !exceptions::is_extra_option(template, &name) {
                found.push(Finding::new("query_option", format!("'{name}' is no option of {template}")));
            }
            continue;
        };
        let fits = match &slot.shape {
            Shape::Integer { min, max } => value.parse().is_ok_and(|number: i64| (*min..=*max).contains(&number)),
            Shape::Boolean => ["true", "false"].contains(&value.as_str()),
            _ => true,
        };
        if !fits {
            found.push(Finding::new("query_option", format!("'{value}' is no value of {name}")));
        }
        if let Some(item) = item {
            let names = Names { contract, item };
            names.option(&name, &value, 0, &mut found);
        }
    }
    found
}

/// What is selected from: the answer, or what the answer lists.
fn item_type(contract: &Contract, operation: &Operation) -> Option<TypeId> {
    let body = operation.answers.get(&200)?.as_ref()?;
    let (_, slot) = body.contents.iter().find(|(kind, _)| kind == "application/json")?;
    let answer = object_in(slot)?;
    let listed = contract.types[answer].members.get("value").and_then(|member| object_in(&member.slot));
    let is_list = contract.types[answer].name.ends_with("Response");
    Some(listed.filter(|_| is_list).unwrap_or(answer))
}

/// The object type in a slot, or in a list of it.
fn object_in(slot: &Slot) -> Option<TypeId> {
    match &slot.shape {
        Shape::Object(id) => Some(*id),
        Shape::List { of, .. } => object_in(of),
        _ => None,
    }
}

struct Names<'a> {
    contract: &'a Contract,
    item: TypeId,
}

impl Names<'_> {
    fn option(&self, name: &str, value: &str, depth: usize, found: &mut Vec<Finding>) {
        match name {
            "$select" => {
                for name in value.split(',').map(str::trim) {
                    self.known(name, "$select", found);
                }
            }
            "$orderby" => {
                for name in value.split(',').filter_map(|one| one.split_whitespace().next()) {
                    self.known(name, "$orderby", found);
                }
            }
            "$expand" => {
                for one in split_outside(value, ',') {
                    self.expanded(one.trim(), depth, found);
                }
            }
            _ => {}
        }
    }

    fn known(&self, path: &str, option: &'static str, found: &mut Vec<Finding>) {
        if path == "*" || exceptions::is_extra_selection(&self.contract.types[self.item].name, path) {
            return;
        }
        if self.follow(path).is_none() {
            let of = &self.contract.types[self.item].name;
            found.push(Finding::new("unknown_name", format!("{option} of '{path}', which {of} does not have")));
        }
    }

    /// Where a path of properties and casts leads; None if it leads nowhere.
    fn follow(&self, path: &str) -> Option<(Option<TypeId>, bool)> {
        let (mut at, mut navigation) = (Some(self.item), false);
        for step in path.split('/') {
            let here = at?;
            let is_cast = step.to_ascii_lowercase().starts_with("microsoft.graph.");
            (at, navigation) = if is_cast {
                let mut named = self.contract.type_ids.iter().filter(|(name, _)| name.eq_ignore_ascii_case(step));
                let cast = named.find_map(|(_, id)| self.contract.is_a(*id, here).then_some(*id))?;
                (Some(cast), navigation)
            } else {
                let member = self.contract.types[here].members.get(step)?;
                (object_in(&member.slot), member.navigation)
            };
        }
        Some((at, navigation))
    }

    fn expanded(&self, text: &str, depth: usize, found: &mut Vec<Finding>) {
        let (path, options) = match text.split_once('(') {
            Some((path, options)) => (path, options.strip_suffix(')').unwrap_or(options)),
            None => (text, ""),
        };
        let Some((Some(item), true)) = self.follow(path) else {
            let of = &self.contract.types[self.item].name;
            let text = format!("$expand of '{path}', which is no navigation property of {of}");
            return found.push(Finding::new("unknown_name", text));
        };
        for option in split_outside(options, ';').iter().map(|option| option.trim()).filter(|one| !one.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            if !["$select", "$expand", "$filter", "$top", "$orderby"].contains(&name) || depth >= EXPAND_DEPTH_MAX {
                found.push(Finding::new("query_option", format!("'{option}' is no option inside $expand")));
                continue;
            }
            Names { contract: self.contract, item }.option(name, value, depth + 1, found);
        }
    }
}

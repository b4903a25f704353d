//! Query options of a request. What Graph does not know it refuses, so does this.

use super::Call;
use super::folders::own_path;
use crate::reply::{Answer, Refusal, Reply};
use crate::request::{decode, encode};
use serde_json::{Value, json};

/// Items of a page that nobody gave a size.
const PAGE: usize = 10;

#[derive(Clone, Debug, Default)]
pub struct Query {
    pub select: Option<Vec<String>>,
    pub expand: Expand,
    pub filter: Option<String>,
    pub top: Option<usize>,
    pub skip: usize,
    pub count: bool,
    pub order_by: Option<String>,
    pub skip_token: Option<String>,
    pub delta_token: Option<String>,
    pub include_hidden: bool,
    pub change_type: Option<String>,
    /// All options as `(name, value)`, decoded.
    pub all: Vec<(String, String)>,
}

#[derive(Clone, Debug, Default)]
pub struct Expand {
    /// Ids of the extended properties asked for.
    pub properties: Vec<String>,
    pub attachments: bool,
    pub nested_item: bool,
    /// Of a series.
    pub exceptions: bool,
}

impl Query {
    pub fn parse(raw: &str) -> Result<Self, Refusal> {
        let mut query = Self::default();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name), decode(&value.replace('+', " ")));
            query.set(&name, &value)?;
            query.all.push((name, value));
        }
        Ok(query)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let number =
            || value.parse::<usize>().map_err(|_| Refusal::bad_query(&format!("Invalid value '{value}' for {name}.")));
        match name.to_ascii_lowercase().as_str() {
            "$select" => {
                let names = value.split(',').map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned);
                self.select = Some(names.collect());
            }
            "$expand" => self.expand = Expand::parse(value)?,
            "$filter" => self.filter = Some(value.to_owned()),
            "$top" => self.top = Some(number()?),
            "$skip" => self.skip = number()?,
            "$count" => self.count = value.eq_ignore_ascii_case("true"),
            "$orderby" => self.order_by = Some(value.to_owned()),
            "$skiptoken" => self.skip_token = Some(value.to_owned()),
            "$deltatoken" => self.delta_token = Some(value.to_owned()),
            "includehiddenfolders" => self.include_hidden = value.eq_ignore_ascii_case("true"),
            "changetype" => self.change_type = Some(value.to_ascii_lowercase()),
            "$search" => return Err(Refusal::bad_query("$search is not part of this simulator.")),
            other if other.starts_with('$') => {
                return Err(Refusal::new(400, "BadRequest", &format!("Unrecognized query option '{name}'.")));
            }
            _ => {}
        }
        Ok(())
    }

    /// The options again, without those named, ready to be put behind a `?`.
    pub fn without(&self, dropped: &[&str]) -> String {
        let kept = self.all.iter().filter(|(name, _)| !dropped.iter().any(|d| d.eq_ignore_ascii_case(name)));
        kept.map(|(name, value)| format!("{}={}", encode_name(name), encode(value))).collect::<Vec<_>>().join("&")
    }

    /// Options that must not stand beside a token.
    pub fn beside_token(&self) -> Vec<&str> {
        let token = |name: &str| {
            ["$skiptoken", "$deltatoken", "includehiddenfolders"].iter().any(|t| t.eq_ignore_ascii_case(name))
        };
        self.all.iter().map(|(name, _)| name.as_str()).filter(|name| !token(name)).collect()
    }

    /// Refuses names that the type does not have.
    pub fn check_select(&self, known: &[&str], type_name: &str) -> Result<(), Refusal> {
        for name in self.select.iter().flatten() {
            if !known.iter().any(|have| have.eq_ignore_ascii_case(name)) && name != "*" {
                let text = format!(
                    "Could not find a property named '{name}' on type 'Microsoft.OutlookServices.{type_name}'."
                );
                return Err(Refusal::new(400, "RequestBroker--ParseUri", &text));
            }
        }
        Ok(())
    }

    pub fn wants(&self, name: &str) -> bool {
        match &self.select {
            None => true,
            Some(names) => names.iter().any(|have| have.eq_ignore_ascii_case(name) || have == "*"),
        }
    }
}

fn encode_name(name: &str) -> String {
    name.strip_prefix('$').map_or_else(|| encode(name), |rest| format!("${}", encode(rest)))
}

impl Expand {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let mut expand = Self::default();
        for part in split_outside(text, ',') {
            let part = part.trim();
            let (name, options) = match part.split_once('(') {
                Some((name, rest)) => (name.trim(), rest.strip_suffix(')').unwrap_or(rest)),
                None => (part, ""),
            };
            match name.to_ascii_lowercase().as_str() {
                "singlevalueextendedproperties" => expand.properties.extend(property_ids(options)?),
                "attachments" => expand.attachments = true,
                "exceptionoccurrences" => expand.exceptions = true,
                "microsoft.graph.itemattachment/item" => expand.nested_item = true,
                "" => {}
                _ => {
                    let text = format!("Could not find a property named '{name}' to expand.");
                    return Err(Refusal::new(400, "RequestBroker--ParseUri", &text));
                }
            }
        }
        Ok(expand)
    }
}

/// One page of a list that Outlook pages by `$skip`: `$top` bounds it, `odata.maxpagesize` cuts it.
pub fn paged(call: &Call, context: &str, all: Vec<Value>) -> Answer {
    let (query, wished) = (&call.query, call.request.prefer.page_size);
    if query.top.is_some() && wished.is_some() {
        call.violation("top_and_page_size", "$top together with odata.maxpagesize");
    }
    let max = call.app.limits().page_size_max;
    // Alone, $top is the page and not a bound, as long as the links are followed.
    let (page, bound) = match (wished, query.top) {
        (Some(size), top) => (size.min(max), top.unwrap_or(usize::MAX)),
        (None, top) => (top.unwrap_or(PAGE).clamp(1, max), usize::MAX),
    };
    let end = all.len().min(bound);
    let more = query.skip + page < end;
    let value: Vec<Value> = all.into_iter().take(end).skip(query.skip).take(page).collect();
    let mut out = json!({"@odata.context": call.context(context), "value": value});
    if more {
        let rest = query.without(&["$skip"]);
        let joint = if rest.is_empty() { String::new() } else { format!("{rest}&") };
        out["@odata.nextLink"] = json!(call.url(&format!("{}?{joint}$skip={}", own_path(call), query.skip + page)));
    }
    Ok(Reply::ok(out))
}

fn property_ids(options: &str) -> Result<Vec<String>, Refusal> {
    let filter = split_outside(options, ';')
        .into_iter()
        .find_map(|option| option.trim().strip_prefix("$filter=").map(str::to_owned))
        .ok_or_else(|| {
            Refusal::new(400, "ErrorInvalidProperty", "Expand of extended properties needs a filter on their id.")
        })?;
    filter
        .split(" or ")
        .map(|atom| {
            let id = atom.trim().trim_start_matches('(').trim_end_matches(')');
            id.strip_prefix("id eq ")
                .and_then(unquote)
                .ok_or_else(|| Refusal::bad_query("Only 'id eq' is allowed in the filter of extended properties."))
        })
        .collect()
}

/// The text inside `'..'`, with doubled quotes made single.
pub fn unquote(text: &str) -> Option<String> {
    let inner = text.trim().strip_prefix('\'')?.strip_suffix('\'')?;
    Some(inner.replace("''", "'"))
}

/// Splits at a separator that is not inside quotes or parentheses.
pub fn split_outside(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut depth, mut quoted) = (0, false);
    for c in text.chars() {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if c == separator && depth == 0 && !quoted {
            parts.push(String::new());
        } else if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts
}

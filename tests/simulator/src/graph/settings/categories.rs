//! The master list of categories. What a category is called never changes, and no two are called the same.

use super::super::Call;
use super::super::input::object;
use super::{check_names, selected, wrong_value};
use crate::locks::{read, write};
use crate::reply::{Answer, Refusal, Reply};
use crate::store::settings::{Category, Settings};
use serde_json::{Value, json};

const COLORS: u8 = 25;
const NAME_CHARS_MAX: usize = 255;

pub fn list(call: &Call) -> Answer {
    call.query.check_select(&["id", "displayName", "color"], "outlookCategory")?;
    let user = call.user()?;
    let all: Vec<Value> = all(&read(&user.settings)).into_iter().map(|one| selected(call, one)).collect();
    let context = call.context(&format!("users('{}')/outlook/masterCategories", user.id));
    Ok(Reply::ok(json!({"@odata.context": context, "value": all})))
}

pub fn all(settings: &Settings) -> Vec<Value> {
    settings.categories.iter().map(shown).collect()
}

fn shown(category: &Category) -> Value {
    let color = category.color.map_or("none".to_owned(), |color| format!("preset{color}"));
    json!({"id": category.id, "displayName": category.name, "color": color})
}

pub fn create(call: &Call) -> Answer {
    let user = call.user()?;
    let body = object(call)?;
    check_names(call, &body, &["displayName", "color"], &["id"])?;
    let name = body.get("displayName").and_then(Value::as_str).unwrap_or_default();
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return Err(wrong_value("displayName"));
    }
    let color = body.get("color").map_or(Ok(None), read_color)?;
    let mut settings = write(&user.settings);
    if settings.categories.iter().any(|have| have.name.to_lowercase() == name.to_lowercase()) {
        return Err(Refusal::new(409, "CategoryNameDuplicate", "Category with the same name already exists."));
    }
    let category = Category { id: uuid::Uuid::new_v4().to_string(), name: name.to_owned(), color };
    let answer = shown(&category);
    settings.categories.push(category);
    Ok(Reply::json(201, answer))
}

pub fn patch(call: &Call) -> Answer {
    let user = call.user()?;
    let body = object(call)?;
    check_names(call, &body, &["color"], &["id", "displayName"])?;
    let mut settings = write(&user.settings);
    let wanted = call.target.message.as_deref().unwrap_or_default();
    let category = settings.categories.iter_mut().find(|one| one.id == wanted).ok_or_else(Refusal::item_not_found)?;
    category.color = body.get("color").map_or(Ok(category.color), read_color)?;
    Ok(Reply::ok(shown(category)))
}

fn read_color(value: &Value) -> Result<Option<u8>, Refusal> {
    let text = value.as_str().ok_or_else(|| wrong_value("color"))?;
    if text.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let number = text.strip_prefix("preset").and_then(|number| number.parse().ok());
    number.filter(|number| *number < COLORS).map(Some).ok_or_else(|| wrong_value("color"))
}

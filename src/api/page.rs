//! Keyset paging: `{"items": […], "next": cursor or null}`.
//!
//! A cursor is opaque to clients. It names the last row of the page before, so that rows that appear or vanish
//! meanwhile neither repeat nor hide others.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::{ApiError, ApiResult};

pub const LIMIT_DEFAULT: u32 = 100;

/// One page of a listing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// What to give as `cursor` to get the next page; `null` on the last.
    pub next: Option<String>,
    /// What whoever reads it has to know, such as what could not be looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// `?limit=…&cursor=…` of a listing without filters. One with filters repeats the two fields, because unknown fields
/// are not refused inside flattened structs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

impl PageQuery {
    pub fn new(limit: Option<u32>, cursor: Option<String>) -> Self {
        Self { limit, cursor }
    }

    /// How many rows to answer with.
    pub fn rows(&self, rows_max: u32) -> ApiResult<u32> {
        match self.limit {
            None => Ok(LIMIT_DEFAULT.min(rows_max)),
            Some(limit) if (1..=rows_max).contains(&limit) => Ok(limit),
            Some(limit) => Err(ApiError::BadRequest(format!("limit is {limit}, not between 1 and {rows_max}"))),
        }
    }

    /// The key behind which the page begins; `None` for the first.
    pub fn after<K: DeserializeOwned>(&self) -> ApiResult<Option<K>> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let key = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|json| serde_json::from_slice(&json).ok());
        match key {
            Some(key) => Ok(Some(key)),
            None => Err(ApiError::BadRequest("the cursor is not one that this listing gave out".to_owned())),
        }
    }

    /// A page of a list that is short enough to be read whole, in the order of its ids.
    pub fn page_of_all<R, K: Ord + Serialize + DeserializeOwned, T>(
        &self,
        rows_max: u32,
        mut all: Vec<R>,
        id: impl Fn(&R) -> K,
        view: impl FnMut(R) -> T,
    ) -> ApiResult<Page<T>> {
        let (rows, after) = (self.rows(rows_max)?, self.after::<K>()?);
        all.retain(|one| after.as_ref().is_none_or(|after| id(one) > *after));
        all.sort_by_key(|one| id(one));
        Ok(Page::cut(all, rows, id, view))
    }
}

impl<T> Page<T> {
    /// Makes a page of `rows` from up to `rows + 1` that were read; the extra one tells that more follow.
    pub fn cut<R, K: Serialize>(mut read: Vec<R>, rows: u32, key: impl Fn(&R) -> K, view: impl FnMut(R) -> T) -> Self {
        let more = read.len() > rows as usize;
        read.truncate(rows as usize);
        let next = if more { read.last().map(|last| cursor(&key(last))) } else { None };
        Self { items: read.into_iter().map(view).collect(), next, notes: Vec::new() }
    }

    /// A page whose reader knows where the next one begins.
    pub fn leading_to<K: Serialize>(items: Vec<T>, next: Option<&K>) -> Self {
        Self { items, next: next.map(cursor), notes: Vec::new() }
    }

    /// All there is, on one page.
    pub fn of_all(items: Vec<T>) -> Self {
        Self { items, next: None, notes: Vec::new() }
    }
}

fn cursor<K: Serialize>(key: &K) -> String {
    let json = serde_json::to_vec(key).expect("a key is numbers and text");
    URL_SAFE_NO_PAD.encode(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_leads_to_the_next_until_there_is_no_more() {
        let first = Page::cut(vec![1u32, 2, 3], 2, |row| *row, |row| row);
        let request = PageQuery::new(Some(2), first.next.clone());
        let last = Page::cut(vec![3u32], 2, |row| *row, |row| row);

        assert_eq!(first.items, [1, 2]);
        assert_eq!(request.after::<u32>().unwrap(), Some(2));
        assert_eq!((last.items, last.next), (vec![3], None));
    }

    #[test]
    fn a_limit_out_of_bounds_and_a_made_up_cursor_are_refused() {
        assert!(PageQuery::new(Some(0), None).rows(500).is_err());
        assert!(PageQuery::new(Some(501), None).rows(500).is_err());
        assert_eq!(PageQuery::default().rows(500).unwrap(), LIMIT_DEFAULT);
        assert!(PageQuery::new(None, Some("xyz!".into())).after::<u64>().is_err());
    }
}

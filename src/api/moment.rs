//! A restore point as a caller names it: by its number, or by a moment, of which the newest point sealed by then is
//! meant.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::de::{Deserialize, Deserializer, Error};

use super::Shared;
use super::error::{ApiError, ApiResult};
use super::resolve;
use crate::catalog::{self, Chain};
use crate::ids::PointNumber;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PointWanted {
    #[default]
    Newest,
    Number(PointNumber),
    AsOf(DateTime<Utc>),
}

impl PointWanted {
    /// From the two fields of a query.
    pub fn of(point: Option<PointNumber>, as_of: Option<DateTime<Utc>>) -> ApiResult<Self> {
        match (point, as_of) {
            (None, None) => Ok(Self::Newest),
            (Some(number), None) => Ok(Self::Number(number)),
            (None, Some(moment)) => Ok(Self::AsOf(moment)),
            (Some(_), Some(_)) => Err(ApiError::BadRequest("give either point or as_of".to_owned())),
        }
    }

    /// The sealed point of a chain that is meant.
    pub async fn resolve(self, app: &Shared, chain: &Chain) -> ApiResult<PointNumber> {
        match self {
            Self::Newest => resolve::sealed_point(app, chain, None).await,
            Self::Number(number) => resolve::sealed_point(app, chain, Some(number)).await,
            Self::AsOf(moment) => {
                let id = chain.id;
                let look_up = move |conn: &mut crate::db::Conn| catalog::points::newest(conn, id, Some(moment));
                let found = app.db.run("find the point of a moment", look_up).await?;
                found.ok_or_else(|| {
                    let moment = moment.to_rfc3339();
                    ApiError::NotFound(format!(
                        "chain {id} has no restore point that was sealed by {moment}: list its points for when the \
                         first one was"
                    ))
                })
            }
        }
    }
}

impl FromStr for PointWanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(number) = text.parse() {
            return Ok(Self::Number(number));
        }
        let moment = DateTime::parse_from_rfc3339(text);
        let wrong =
            |_| format!("\"{text}\" is neither the number of a point nor a moment such as 2026-11-25T09:30:00Z");
        Ok(Self::AsOf(moment.map_err(wrong)?.to_utc()))
    }
}

impl<'de> Deserialize<'de> for PointWanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_a_number_or_a_moment_in_any_zone() {
        let read = |text: &str| text.parse::<PointWanted>();

        assert_eq!(read("7"), Ok(PointWanted::Number(PointNumber::new(7))));
        let moment = "2026-11-25T09:30:00Z".parse().unwrap();
        assert_eq!(read("2026-11-25T10:30:00+01:00"), Ok(PointWanted::AsOf(moment)));
        assert!(read("yesterday").unwrap_err().contains("\"yesterday\" is neither"));
        assert!(PointWanted::of(Some(PointNumber::new(1)), Some(moment)).is_err());
    }
}

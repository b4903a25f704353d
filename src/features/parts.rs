//! Items that belong to another item and come and go with it, such as the older versions of a file.

use futures_util::future::BoxFuture;

use super::{CaptureError, FeatureOptions, RemoteItem, Source};

/// What a feature whose items have parts must be able to do. Parts lie in a container of their own, which is not walked:
/// they are listed when the item that they belong to is captured, and end with it. Their parent is that item.
pub trait Parts: Send + Sync {
    /// The id of the container that holds them.
    fn container(&self) -> &'static str;

    /// Whether the policy wants any.
    fn are_wanted(&self, options: &FeatureOptions) -> bool;

    /// Whether this item may have some. Pure.
    fn may_have(&self, item: &RemoteItem) -> bool;

    /// All parts of an item that are wanted, with their properties. `item` may be known by its id alone (a retry).
    fn list<'a>(
        &'a self,
        source: Source<'a>,
        item: &'a RemoteItem,
    ) -> BoxFuture<'a, Result<Vec<RemoteItem>, CaptureError>>;

    /// The id under which it is noted that the parts of an item could not be listed.
    fn list_id(&self, item: &str) -> String;

    /// The item whose parts are noted under this id.
    fn listed_by<'a>(&self, id: &'a str) -> Option<&'a str>;
}

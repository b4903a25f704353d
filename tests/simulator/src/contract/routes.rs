//! Which path of the contract a request is for.

use super::model::{Contract, PathItem};

/// A path with holes.
#[derive(Debug)]
pub struct Template {
    pub text: String,
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    /// In lower case: Graph does not care, and writes its own links as it likes.
    Word(String),
    Hole,
    /// A hole or word with a path after it: `{driveItem-id}:`, `root:`.
    Before(Box<Piece>),
}

impl Template {
    pub fn parse(text: &str) -> Self {
        let pieces = text.split('/').filter(|piece| !piece.is_empty()).map(Piece::parse).collect();
        Self { text: text.to_owned(), pieces }
    }

    /// How many words of the template the path has, or None if it is another path.
    fn fit(&self, path: &[String]) -> Option<usize> {
        if self.pieces.len() != path.len() {
            return None;
        }
        let fits = self.pieces.iter().zip(path).all(|(piece, segment)| piece.fits(segment));
        fits.then(|| self.pieces.iter().filter(|piece| matches!(piece, Piece::Word(_))).count())
    }
}

impl Piece {
    fn parse(text: &str) -> Self {
        match text.strip_suffix(':') {
            Some(before) => Self::Before(Box::new(Self::parse(before))),
            None if text.starts_with('{') => Self::Hole,
            None => Self::Word(text.to_lowercase()),
        }
    }

    fn fits(&self, segment: &str) -> bool {
        match self {
            Self::Word(word) => *word == segment,
            Self::Hole => !segment.ends_with(':'),
            Self::Before(piece) => segment.strip_suffix(':').is_some_and(|before| piece.fits(before)),
        }
    }
}

/// The path item with the most words in common; `segments` are decoded, without the version.
pub fn find<'a>(contract: &'a Contract, segments: &[String]) -> Option<&'a PathItem> {
    let path = plain(segments);
    fitting(contract, &path).or_else(|| match path.as_slice() {
        // The published part has most of a drive below its own id only; api/driveitem-get has both forms.
        [users, user, drive, rest @ ..] if users == "users" && drive == "drive" && !rest.is_empty() => {
            let of_drive = [&["drives".to_owned(), user.clone()], rest].concat();
            fitting(contract, &of_drive).or_else(|| fitting(contract, &root_as_item(&of_drive)))
        }
        [drives, ..] if drives == "drives" => fitting(contract, &root_as_item(&path)),
        _ => None,
    })
}

/// What works on any item works on the root, and on what is named by its path from there.
fn root_as_item(path: &[String]) -> Vec<String> {
    match path {
        [drives, drive, root, rest @ ..] if root == "root" => {
            [&[drives.clone(), drive.clone(), "items".to_owned(), root.clone()], rest].concat()
        }
        [drives, drive, root, named, rest @ ..] if root == "root:" && named.ends_with(':') => {
            [&[drives.clone(), drive.clone(), "items".to_owned(), named.replace(':', "")], rest].concat()
        }
        other => other.to_vec(),
    }
}

fn fitting<'a>(contract: &'a Contract, path: &[String]) -> Option<&'a PathItem> {
    let fitting = contract.paths.iter().filter_map(|item| Some((item.template.fit(path)?, item)));
    fitting.max_by_key(|(words, _)| *words).map(|(_, item)| item)
}

/// Lower case, functions without namespace and parentheses, and a path between colons as one segment.
fn plain(segments: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(segments.len());
    let mut in_path = false;
    for segment in segments {
        match out.last_mut() {
            Some(path) if in_path && !path.is_empty() => {
                path.push('/');
                path.push_str(segment);
            }
            Some(path) if in_path => path.push_str(segment),
            Some(_) | None => {
                let lower = segment.to_lowercase();
                let function = lower.split('(').next().unwrap_or_default();
                let function = function.strip_prefix("microsoft.graph.").unwrap_or(function);
                out.push(if function == "delta" { function.to_owned() } else { lower });
            }
        }
        if segment.ends_with(':') {
            in_path = !in_path;
            if in_path {
                out.push(String::new());
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_its_template_in_every_form_graph_accepts() {
        let contract = Contract::compiled();
        for (path, template) in [
            ("users/U/mailfolders/F/messages/delta", "/users/{user-id}/mailFolders/{mailFolder-id}/messages/delta"),
            ("users/U/mailFolders/microsoft.graph.delta", "/users/{user-id}/mailFolders/delta"),
            ("users/delta", "/users/delta"),
            ("users/somebody", "/users/{user-id}"),
            ("users/U/messages/M/$value", "/users/{user-id}/messages/{message-id}/$value"),
            ("drives/D/root/delta(token='T')", "/drives/{drive-id}/root/delta"),
            ("drives/D/root:/a/b c.txt", "/drives/{drive-id}/root:/{item-path}"),
            ("drives/D/items/P:/x/y.bin:/content", "/drives/{drive-id}/items/{driveItem-id}:/{item-path}:/content"),
            ("admin/exchange/mailboxes/MBX:1@2/exportItems", "/admin/exchange/mailboxes/{mailbox-id}/exportItems"),
        ] {
            let segments: Vec<String> = path.split('/').map(str::to_owned).collect();
            let found = find(&contract, &segments).map(|item| item.template.text.as_str());
            assert_eq!(found, Some(template), "{path}");
        }
        assert!(find(&contract, &["users".into(), "U".into(), "chats".into()]).is_none());
    }
}

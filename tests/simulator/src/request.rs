//! A request as the Graph areas see it: path in decoded segments, query options, body read whole.

use crate::store::ids::IdKind;
use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use serde_json::Value;

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Decoded, without the version prefix and without query.
    pub path: String,
    pub segments: Vec<String>,
    pub raw_query: String,
    pub headers: HeaderMap,
    pub prefer: Prefer,
    pub body: Bytes,
}

/// What the `Prefer` headers ask for.
#[derive(Clone, Debug, Default)]
pub struct Prefer {
    pub immutable: bool,
    pub page_size: Option<usize>,
    pub body_as_text: bool,
    /// Bodies as they are stored, scripts and all.
    pub unsafe_html: bool,
    /// For the times of events.
    pub time_zone: Option<String>,
}

impl Prefer {
    pub fn kind(&self) -> IdKind {
        if self.immutable { IdKind::Immutable } else { IdKind::Mutable }
    }

    fn read(headers: &HeaderMap) -> Self {
        let mut prefer = Self::default();
        for value in headers.get_all("prefer").filter_map(|value| value.to_str().ok()) {
            for one in value.split([',', ';']).map(str::trim) {
                let (name, wanted) = one.split_once('=').unwrap_or((one, ""));
                let wanted = wanted.trim().trim_matches('"');
                match name.trim().to_ascii_lowercase().as_str() {
                    "idtype" => prefer.immutable = wanted.eq_ignore_ascii_case("ImmutableId"),
                    "odata.maxpagesize" => prefer.page_size = wanted.parse().ok().filter(|n| *n > 0),
                    "outlook.body-content-type" => prefer.body_as_text = wanted.eq_ignore_ascii_case("text"),
                    "outlook.allow-unsafe-html" => prefer.unsafe_html = true,
                    "outlook.timezone" => prefer.time_zone = Some(wanted.to_owned()),
                    _ => {}
                }
            }
        }
        prefer
    }

    /// For the `Preference-Applied` header.
    pub fn applied(&self) -> Option<String> {
        let mut all = Vec::new();
        if self.immutable {
            all.push("IdType=\"ImmutableId\"".to_owned());
        }
        if let Some(size) = self.page_size {
            all.push(format!("odata.maxpagesize={size}"));
        }
        if let Some(zone) = &self.time_zone {
            all.push(format!("outlook.timezone=\"{zone}\""));
        }
        (!all.is_empty()).then(|| all.join(", "))
    }
}

impl Request {
    pub fn new(method: &str, raw_path: &str, raw_query: &str, headers: HeaderMap) -> Self {
        let segments = split_path(raw_path);
        Self {
            method: method.to_owned(),
            path: format!("/{}", segments.join("/")),
            segments,
            raw_query: raw_query.to_owned(),
            prefer: Prefer::read(&headers),
            headers,
            body: Bytes::new(),
        }
    }

    /// The same request without a property of its body, members being separated by dots; `None`: it has none.
    pub fn without(&self, property: &str) -> Option<Self> {
        let mut body: Value = serde_json::from_slice(&self.body).ok()?;
        let (above, name) = property.rsplit_once('.').map_or((None, property), |(above, name)| (Some(above), name));
        let mut holder = &mut body;
        for member in above.into_iter().flat_map(|path| path.split('.')) {
            holder = holder.get_mut(member)?;
        }
        holder.as_object_mut()?.remove(name)?;
        Some(Self { body: Bytes::from(body.to_string()), ..self.clone() })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn content_type(&self) -> &str {
        self.header("content-type").unwrap_or_default()
    }
}

/// Decoded segments; `users('x')` becomes two of them, `delta()` loses its parentheses.
fn split_path(raw: &str) -> Vec<String> {
    let mut out = Vec::new();
    for raw_segment in raw.split('/').filter(|s| !s.is_empty()) {
        let segment = decode(raw_segment);
        match segment.split_once('(').and_then(|(name, rest)| Some((name, rest.strip_suffix(')')?))) {
            Some((name, "")) => out.push(name.to_owned()),
            Some((name, quoted)) if quoted.starts_with('\'') => {
                out.push(name.to_owned());
                out.push(quoted.trim_matches('\'').replace("''", "'"));
            }
            _ => out.push(segment),
        }
    }
    out
}

/// Percent-decoding; what is not valid stays as it is.
pub fn decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~'()*".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

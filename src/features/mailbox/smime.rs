//! Signed and encrypted mail, recreated the way Exchange stores it ([MS-OXOSMIME] 2.1.3): one attachment that holds
//! the protected entity, byte for byte, and a message class that says so.

use bytes::Bytes;
use mail_parser::{Encoding, HeaderName, Message, MimeHeaders, PartType};

use super::mime::File;

pub(super) enum Entity {
    /// `multipart/signed`: the whole entity with its Content-Type header, because the signature covers the bytes.
    Signed { content: Bytes },
    /// `application/pkcs7-mime`: the decoded content.
    Opaque { content: Bytes, content_type: String },
}

/// The protected entity, when the message as a whole is one.
pub(super) fn entity(message: &Message<'_>, raw: &Bytes) -> Option<Entity> {
    let root = message.parts.first()?;
    let header = root.headers.iter().rfind(|header| header.name == HeaderName::ContentType)?;
    let value = raw.get(header.offset_start as usize..header.offset_end as usize)?;
    if root.is_content_type("multipart", "signed") && matches!(root.body, PartType::Multipart(_)) {
        let mut content = b"Content-Type:".to_vec();
        content.extend_from_slice(value.trim_ascii_end());
        content.extend_from_slice(b"\r\n\r\n");
        content.extend_from_slice(raw.get(root.offset_body as usize..)?);
        return Some(Entity::Signed { content: content.into() });
    }
    let named_p7m = || root.attachment_name().is_some_and(|name| name.to_ascii_lowercase().ends_with(".p7m"));
    let opaque = root.is_content_type("application", "pkcs7-mime")
        || root.is_content_type("application", "x-pkcs7-mime")
        || (root.is_content_type("application", "octet-stream") && named_p7m());
    if !opaque || root.is_encoding_problem {
        return None;
    }
    let content = match &root.body {
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => Bytes::copy_from_slice(bytes),
        PartType::Text(_) | PartType::Html(_) | PartType::Message(_) | PartType::Multipart(_) => return None,
    };
    // Without an encoding the bytes have gone through line ends and cannot be told whole.
    let whole = root.encoding != Encoding::None || content.first() == Some(&0x30);
    let content_type = String::from_utf8_lossy(value).split_whitespace().collect::<Vec<_>>().join(" ");
    whole.then_some(Entity::Opaque { content, content_type })
}

/// The one attachment that such a message has.
pub(super) fn attachment(content_type: &str, content: Bytes) -> File {
    File {
        name: "smime.p7m".to_owned(),
        content_type: content_type.to_owned(),
        inline: false,
        content_id: None,
        content,
    }
}

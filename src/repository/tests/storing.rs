//! What is stored comes back, once, byte for byte.

use std::io::{Seek, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::repository::RepositoryConfig;
use crate::repository::record::{self, Cursor, CursorState, PointBegin, PointSeal, Record};
use crate::repository::store::pack_key;

fn spooled(content: &[u8]) -> IngestContent {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file.rewind().unwrap();
    IngestContent::Spooled { file, bytes: content.len() as u64 }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_content_comes_back_in_every_layout() {
    for (layout, crypto) in
        [(Layout::Packed, Crypto::Aes256Gcm), (Layout::Packed, Crypto::None), (Layout::Aligned, Crypto::None)]
    {
        let bench = Bench::on(Arc::new(Memory::new()), layout, crypto).await;
        let contents: Vec<Bytes> = vec![
            mail("one", &noise(1, 90_000)),
            noise(2, 5_000_000).into(),
            Bytes::from_static(b"short"),
            Bytes::new(),
            noise(3, 700_000).into(),
        ];
        let batch = vec![
            item("mail", Some(IngestContent::Mime(contents[0].clone()))),
            item("long file", Some(spooled(&contents[1]))),
            item("short", Some(IngestContent::Raw(contents[2].clone()))),
            item("empty file", Some(spooled(&contents[3]))),
            item("file", Some(spooled(&contents[4]))),
            item("bare", None),
        ];
        let mut packer = bench.packer();

        let stored = packer.store(batch).await.unwrap();
        let ids = bench.commit(&mut packer).await;

        for (stored, content) in stored.iter().zip(&contents) {
            assert_eq!(stored.content.as_ref().unwrap().bytes, content.len() as u64);
            assert_eq!(&bench.content_of(stored, &ids).await, content);
        }
        assert!(stored[5].content.is_none());
        let reader = bench.store.reader(bench.db.clone());
        let place = stored[5].properties;
        assert_eq!(reader.read(id(&ids, place.pack), place.blob).await.unwrap(), "{\"subject\":\"bare\"}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_attachment_is_stored_once_in_the_whole_store() {
    let bench = Bench::new().await;
    let attachment = noise(1, 3_000_000);
    let mut first = bench.packer();
    let one = first.store(vec![item("a", Some(IngestContent::Mime(mail("a", &attachment))))]).await.unwrap();
    bench.commit(&mut first).await;

    let mut second = bench.packer();
    let batch = vec![
        item("b", Some(IngestContent::Mime(mail("b", &attachment)))),
        item("c", Some(spooled(&attachment))),
        item("d", Some(spooled(&attachment))),
    ];
    let other = second.store(batch).await.unwrap();
    let flushed = second.flush().await.unwrap();
    let ids = bench.try_commit(&flushed).await.unwrap();

    assert!(one[0].bytes_stored > 3_000_000 && flushed.bytes_stored() < 20_000, "{}", flushed.bytes_stored());
    let shared = |stored: &Stored| stored.content.as_ref().unwrap().refs.clone();
    assert!(shared(&one[0]).iter().filter(|id| shared(&other[1]).contains(id)).count() > 3);
    assert_eq!(shared(&other[1]), shared(&other[2]));
    assert_eq!(bench.content_of(&other[0], &ids).await, mail("b", &attachment));
    assert_eq!(bench.content_of(&other[1], &ids).await, attachment);
}

#[tokio::test(flavor = "multi_thread")]
async fn small_content_is_read_in_one_go_wherever_its_parts_lie_and_else_with_patience() {
    let backend = Arc::new(Memory::new());
    let bench = Bench::on(backend.clone(), Layout::Packed, Crypto::Aes256Gcm).await;
    let attachment = noise(1, 90_000);
    let mut first = bench.packer();
    let one = first.store(vec![item("a", Some(IngestContent::Mime(mail("a", &attachment))))]).await.unwrap();
    bench.commit(&mut first).await;
    let mut second = bench.packer();
    let batch = vec![
        item("b", Some(IngestContent::Mime(mail("b", &attachment)))),
        item("c", Some(spooled(&noise(2, 1_100_000)))),
    ];
    let other = second.store(batch).await.unwrap();
    let ids = bench.commit(&mut second).await;
    let place = |n: usize| other[n].content.as_ref().unwrap().location;
    let (mail_of_b, large) = (place(0), place(1));
    let pack = id(&ids, mail_of_b.pack);

    let reader = bench.store.reader(bench.db.clone());
    assert_eq!(reader.at_once(pack, mail_of_b.blob, u64::MAX).await.unwrap(), mail("b", &attachment));
    assert_eq!(reader.at_once(pack, mail_of_b.blob, 100).await, None);
    assert_eq!(reader.at_once(id(&ids, large.pack), large.blob, u64::MAX).await, None);

    backend.delete(&pack_key(one[0].content.as_ref().unwrap().location.pack)).unwrap();
    let reader = bench.store.reader(bench.db.clone());
    assert_eq!(reader.at_once(pack, mail_of_b.blob, u64::MAX).await, None);
    let whole = reader.content(pack, mail_of_b.blob, u64::MAX).await.unwrap_err().to_string();
    let mut pieces = reader.pieces(pack, mail_of_b.blob).await.unwrap();
    let in_pieces = loop {
        match pieces.next().await {
            Ok(piece) => assert!(piece.is_some(), "the content ended without its attachment"),
            Err(err) => break err.to_string(),
        }
    };
    assert_eq!(whole, in_pieces);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_content_fills_packs_and_streams_out_in_bounded_pieces() {
    let bench = Bench::new().await;
    let content = noise(4, 70 << 20);
    let mut packer = bench.packer();

    let stored = packer.store(vec![item("large", Some(spooled(&content)))]).await.unwrap();
    let flushed = packer.flush().await.unwrap();
    let ids = bench.try_commit(&flushed).await.unwrap();

    assert_eq!(flushed.n_packs(), 3);
    let place = stored[0].content.as_ref().unwrap().location;
    let reader = bench.store.reader(bench.db.clone());
    let pack = id(&ids, place.pack);
    let out = reader.stream(pack, place.blob, Vec::new()).await.unwrap();
    assert!(out == content);
    let refused = reader.content(pack, place.blob, 1 << 20).await;
    assert!(matches!(refused, Err(crate::repository::StoreError::TooLarge { bytes_max: 1_048_576, .. })));
    let mut pieces = reader.pieces(pack, place.blob).await.unwrap();
    while let Some(piece) = pieces.next().await.unwrap() {
        assert!(piece.len() <= 1 << 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn harder_compression_takes_less_room_and_reads_the_same() {
    let text: String = (0..40_000u64).map(|n| format!("line {n}: {} of {}\n", n * n % 9973, n % 31)).collect();
    let content = Bytes::from(text);
    let mut took = Vec::new();
    for zstd_level in [1, 19] {
        let mut bench = Bench::new().await;
        bench.store =
            bench.store.with_packing(RepositoryConfig { zstd_level, ..RepositoryConfig::default() }.packing());
        let mut packer = bench.packer();

        let stored = packer.store(vec![item("text", Some(IngestContent::Raw(content.clone())))]).await.unwrap();
        let flushed = packer.flush().await.unwrap();
        let ids = bench.try_commit(&flushed).await.unwrap();

        assert_eq!(bench.content_of(&stored[0], &ids).await, content);
        took.push(flushed.bytes_stored());
    }
    assert!(took[1] < took[0] * 9 / 10, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_alone_tell_what_was_recorded_in_order() {
    let bench = Bench::new().await;
    let mut packer = bench.packer();
    let mut told = vec![Record::PointBegin(PointBegin { started_ms: 1 })];
    packer.add_record(&chain(), POINT, told[0].clone());
    for n in 0..3 {
        let subject = format!("mail {n}");
        let content = Some(IngestContent::Mime(mail(&subject, &noise(n, 4000))));
        let stored = packer.store(vec![item(&subject, content)]).await.unwrap().remove(0);
        let content = stored.content.unwrap();
        told.push(Record::Item(record::Item {
            parent: None,
            words: None,
            container: "inbox".into(),
            graph_id: subject.clone(),
            kind: 1,
            flags: 0,
            change_tag: n,
            name: subject,
            party: "bo@contoso.example".into(),
            time_s: 1_700_000_000,
            bytes: content.bytes,
            properties: stored.properties,
            content: Some(content.location),
            refs: content.refs,
        }));
        packer.add_record(&chain(), POINT, told.last().unwrap().clone());
        bench.commit(&mut packer).await;
    }
    // A later task goes on with the point; its records come after, whichever agent wrote them.
    let mut later = bench.packer();
    told.push(Record::Cursor(Cursor {
        container: "inbox".into(),
        state: CursorState::Since("token".into()),
        full_walk_point: None,
    }));
    told.push(Record::PointSeal(PointSeal { n_items: 3, ..PointSeal::default() }));
    told[4..].iter().for_each(|record| later.add_record(&chain(), POINT, record.clone()));
    bench.commit(&mut later).await;

    let mut entries = Vec::new();
    for folder in 0..=255 {
        for file in bench.store.list_packs(folder).await.unwrap() {
            let pack = bench.store.read_pack(file.uid).await.unwrap();
            assert_eq!(pack.writer, bench.writer);
            entries.extend(pack.records.entries);
        }
    }
    entries.sort_by_key(|entry| (entry.point, entry.seq));
    assert!(entries.iter().all(|entry| entry.chain.as_deref() == Some(chain().as_ref())));
    let records: Vec<Record> = entries.into_iter().map(|entry| entry.record).collect();
    assert_eq!(records, told);
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_mail_comes_back_to_the_byte_however_oddly_it_is_written() {
    let bench = Bench::new().await;
    let entity = "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\r\n\tboundary=\"s\"\r\n\r\n\
        This is an S/MIME signed message\r\n\r\n--s\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe =20\r\ntrailing \t\r\nbare\nline\r\n--s\r\n\
        Content-Type: application/pkcs7-signature; name=\"smime.p7s\"\r\nContent-Transfer-Encoding: BASE64\r\n\
        Content-Disposition: attachment; filename=\"smime.p7s\"\r\n\r\nMIAGCSqGSIb3DQEHAqCAMIACAQEx\r\nDz ANBgl\r\n\r\n\
        --s--\r\n\r\n  \r\n";
    let signed = Bytes::from(format!("Received: from a\r\n by b\r\nFrom: a@b\r\nMIME-Version: 1.0\r\n{entity}"));
    let lines: String = noise(9, 400_000).chunks(48).map(|line| format!("{}\r\n", STANDARD.encode(line))).collect();
    let large = Bytes::from(String::from_utf8_lossy(&signed).replace("Dz ANBgl\r\n", &lines));
    let batch = [&signed, &large].map(|mail| item("signed", Some(IngestContent::Mime(mail.clone()))));
    let mut packer = bench.packer();

    let stored = packer.store(batch.into()).await.unwrap();
    let ids = bench.commit(&mut packer).await;

    assert_eq!(bench.content_of(&stored[0], &ids).await, signed);
    assert_eq!(bench.content_of(&stored[1], &ids).await, large);
}

use crate::{Tenant, restored, send};
use reqwest::Method;
use serde_json::{Value, json};

async fn session(tenant: &Tenant, size: usize) -> (String, String) {
    let made = tenant.create("inbox", restored("upload")).await;
    let message = format!("/users/{}/messages/{}", tenant.user(), made["id"].as_str().expect("an id"));
    let item = json!({"AttachmentItem": {"attachmentType": "file", "name": "big.bin", "size": size}});
    let answer = tenant.post(&format!("{message}/attachments/createUploadSession"), item).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    (message, answer.body["uploadUrl"].as_str().expect("a url").to_owned())
}

async fn put(tenant: &Tenant, url: &str, first: usize, data: &[u8], total: usize) -> crate::Answer {
    let range = format!("bytes {first}-{}/{total}", first + data.len() - 1);
    let request = tenant.client.request(Method::PUT, url).header("Content-Range", range);
    send(request.header("Content-Type", "application/octet-stream").body(data.to_vec())).await
}

#[actix_web::test]
async fn parts_in_order_make_an_attachment() {
    let tenant = Tenant::small().await;
    let data: Vec<u8> = (0..3_500_000u32).map(|i| (i % 251) as u8).collect();
    let (message, url) = session(&tenant, data.len()).await;

    let first = put(&tenant, &url, 0, &data[..2_000_000], data.len()).await;
    let gap = put(&tenant, &url, 2_500_000, &data[2_500_000..], data.len()).await;
    let last = put(&tenant, &url, 2_000_000, &data[2_000_000..], data.len()).await;

    assert_eq!((first.status.as_u16(), &first.body["NextExpectedRanges"]), (200, &json!(["2000000"])));
    assert_eq!(gap.status, 400);
    assert_eq!(last.status, 201);
    assert!(last.headers["location"].to_str().expect("text").contains("/Attachments('"));
    let listed = tenant.get(&format!("{message}/attachments?$select=id,name,size")).await;
    assert_eq!((&listed.values()[0]["name"], &listed.values()[0]["size"]), (&json!("big.bin"), &json!(3_500_000)));
    let after = put(&tenant, &url, 0, &data[..10], data.len()).await;
    assert_eq!(after.status, 404);
}

#[actix_web::test]
async fn authorization_on_an_upload_url_is_refused_and_noted() {
    let tenant = Tenant::small().await;
    let (_, url) = session(&tenant, 4_000_000).await;

    let request = tenant.request(Method::PUT, &url).header("Content-Range", "bytes 0-9/4000000").body(vec![0; 10]);
    let answer = send(request.header("Content-Type", "application/octet-stream")).await;

    assert_eq!(answer.status, 401);
    assert!(tenant.violation_kinds().contains(&"authorization_on_upload_url"));
}

#[actix_web::test]
async fn inline_attachments_do_not_count() {
    let tenant = Tenant::small().await;
    let made = tenant.create("inbox", restored("inline")).await;
    let message = format!("/users/{}/messages/{}", tenant.user(), made["id"].as_str().expect("an id"));
    let inline = json!({
        "@odata.type": "#microsoft.graph.fileAttachment", "name": "a.png", "contentType": "image/png",
        "contentBytes": "AAAA", "isInline": true, "contentId": "a@b",
    });

    let answer = tenant.post(&format!("{message}/attachments"), inline.clone()).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let with_inline = tenant.get(&message).await;
    let mut attached = inline;
    attached["isInline"] = json!(false);
    tenant.post(&format!("{message}/attachments"), attached).await;
    let with_both = tenant.get(&message).await;

    assert_eq!(with_inline.body["hasAttachments"], false);
    assert_eq!(with_both.body["hasAttachments"], true);
}

#[actix_web::test]
async fn nested_attachments_of_an_item_are_refused() {
    let tenant = Tenant::small().await;
    let made = tenant.create("inbox", restored("nested")).await;
    let path = format!("/users/{}/messages/{}/attachments", tenant.user(), made["id"].as_str().expect("an id"));
    let item = |extra: Value| {
        let mut item = json!({"@odata.type": "#microsoft.graph.message", "subject": "inner"});
        if let (Some(item), Some(extra)) = (item.as_object_mut(), extra.as_object()) {
            item.extend(extra.clone());
        }
        json!({"@odata.type": "#microsoft.graph.itemAttachment", "name": "inner", "item": item})
    };

    let good = tenant.post(&path, item(json!({}))).await;
    let bad = tenant.post(&path, item(json!({"attachments": []}))).await;

    assert_eq!((good.status.as_u16(), bad.status.as_u16()), (201, 400));
    let id = good.body["id"].as_str().expect("an id");
    let value = tenant.get(&format!("{path}/{id}/$value")).await;
    assert!(value.body.as_str().expect("text").contains("Subject: inner"));
    let nested = tenant.get(&format!("{path}/{id}?$expand=microsoft.graph.itemattachment/item")).await;
    assert_eq!(nested.body["item"]["subject"], "inner");
}

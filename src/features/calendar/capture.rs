//! Reading one event: with its exceptions and cancelled dates when it is a series, and with all attachments.

use serde_json::Value;

use super::attachments::Gathering;
use super::outline::{self, Outline, summary};
use crate::features::exchange::{PAGE_SIZE, Trouble, json_bytes, text, without_envelope};
use crate::features::{CaptureError, Captured, RemoteItem, Source};
use crate::graph::{Endpoint, GraphError, IMMUTABLE_IDS, Outlook};

/// Everything but the preview, which is made of the body.
pub(super) const PROPERTIES: &str = "id,changeKey,createdDateTime,lastModifiedDateTime,categories,transactionId,type,\
    seriesMasterId,iCalUId,subject,body,importance,sensitivity,showAs,start,end,isAllDay,originalStart,\
    originalStartTimeZone,originalEndTimeZone,recurrence,cancelledOccurrences,location,locations,organizer,attendees,\
    hideAttendees,isOrganizer,responseRequested,responseStatus,allowNewTimeProposals,isCancelled,isDraft,\
    isReminderOn,reminderMinutesBeforeStart,isOnlineMeeting,onlineMeetingProvider,onlineMeetingUrl,onlineMeeting,\
    hasAttachments,webLink";
/// How Exchange defines the zone of an event ([MS-OXOCAL] 2.2.1.39 to 2.2.1.43): the only words for a custom one.
const ZONE_PROPERTIES: [&str; 5] = [
    "Binary {00062002-0000-0000-C000-000000000046} Id 0x8233",
    "String {00062002-0000-0000-C000-000000000046} Id 0x8234",
    "Binary {00062002-0000-0000-C000-000000000046} Id 0x825E",
    "Binary {00062002-0000-0000-C000-000000000046} Id 0x825F",
    "Binary {00062002-0000-0000-C000-000000000046} Id 0x8260",
];
const UNSAFE_HTML: &str = "outlook.allow-unsafe-html";
/// More exceptions than a series can have: Exchange gives up far earlier.
const EXCEPTIONS_MAX: usize = 10_000;

pub(super) async fn capture(source: Source<'_>, item: &RemoteItem) -> Result<Captured, CaptureError> {
    let mut outline = match Outline::of_item(item) {
        Some(outline) => outline,
        None => read_outline(source, &item.id).await?,
    };
    let mut event = read_event(source, &item.id, &outline).await?;
    if text(&event["changeKey"]) != outline.change_key {
        // It changed since the walk told of it: its zone and start may be others now.
        outline = read_outline(source, &item.id).await?;
        event = read_event(source, &item.id, &outline).await?;
    }
    let mut gathering = Gathering::new(source);
    gathering.attachments_of(&mut event).await?;
    if let Some(exceptions) = event["exceptionOccurrences"].as_array_mut() {
        for exception in exceptions {
            gathering.attachments_of(exception).await?;
        }
    }
    let (content, n_attachments, lack) = gathering.finish()?;
    let summary = summary(&event, outline.start, n_attachments > 0);
    let captured = Captured { summary, properties: json_bytes(&event), content };
    match lack {
        None => Ok(captured),
        Some(lack) => Err(CaptureError::Incomplete { captured: Box::new(captured), lack }),
    }
}

async fn read_outline(source: Source<'_>, event: &str) -> Result<Outline, CaptureError> {
    let endpoint = Endpoint::Outlook { user: source.user, what: Outlook::Event { event } };
    let call = source.graph.get(endpoint).prefer(IMMUTABLE_IDS).query("$select", outline::PROPERTIES);
    let event = call.json().await.map_err(Trouble::of)?;
    Outline::of_event(&event).ok_or_else(|| incomplete(endpoint))
}

async fn read_event(source: Source<'_>, event: &str, outline: &Outline) -> Result<Value, CaptureError> {
    let read = read_in_zone(source, event, outline.is_series, &outline.zone).await.map_err(Trouble::of)?;
    let is_whole = ["id", "changeKey", "type", "start", "end"].iter().all(|name| !read[name].is_null());
    let endpoint = Endpoint::Outlook { user: source.user, what: Outlook::Event { event } };
    if is_whole { Ok(read) } else { Err(incomplete(endpoint)) }
}

/// An event as a capture reads it, but for its attachments.
pub(super) async fn read_whole(source: Source<'_>, event: &str, zone: &str) -> Result<Value, GraphError> {
    let read = read_in_zone(source, event, false, zone).await?;
    if text(&read["type"]) == "seriesMaster" { read_in_zone(source, event, true, zone).await } else { Ok(read) }
}

async fn read_in_zone(source: Source<'_>, event: &str, is_series: bool, zone: &str) -> Result<Value, GraphError> {
    let mut read = match ask(source, event, is_series, zone).await {
        // A zone that an invitation brought along and Graph does not know by that name.
        Err(GraphError::Refused { .. }) if !zone.is_empty() => ask(source, event, is_series, "").await?,
        read => read?,
    };
    let endpoint = Endpoint::Outlook { user: source.user, what: Outlook::Event { event } };
    let more = read["exceptionOccurrences@odata.nextLink"].as_str().map(str::to_owned);
    if let Some(exceptions) = read["exceptionOccurrences"].as_array_mut() {
        if let Some(link) = more {
            exceptions.extend(more_exceptions(source, endpoint, link, zone).await?);
        }
        for exception in exceptions {
            *exception = without_envelope(exception.take());
        }
    }
    Ok(without_envelope(read))
}

async fn ask(source: Source<'_>, event: &str, is_series: bool, zone: &str) -> Result<Value, GraphError> {
    let endpoint = Endpoint::Outlook { user: source.user, what: Outlook::Event { event } };
    let zone_properties = ZONE_PROPERTIES.map(|id| format!("id eq '{id}'")).join(" or ");
    let mut expand = format!("singleValueExtendedProperties($filter={zone_properties})");
    if is_series {
        expand.push_str(",exceptionOccurrences");
    }
    let mut call = source.graph.get(endpoint).query("$select", PROPERTIES).query("$expand", &expand);
    call = call.prefer(IMMUTABLE_IDS).prefer(UNSAFE_HTML);
    if !zone.is_empty() {
        call = call.prefer(&zone_preference(zone));
    }
    call.json().await
}

/// Exceptions beyond those that came with the series.
async fn more_exceptions(
    source: Source<'_>,
    endpoint: Endpoint<'_>,
    link: String,
    zone: &str,
) -> Result<Vec<Value>, GraphError> {
    let mut next = Some(link);
    let mut exceptions = Vec::new();
    for _ in 0..EXCEPTIONS_MAX {
        let Some(link) = next else { return Ok(exceptions) };
        let mut call =
            source.graph.follow(endpoint, &link)?.prefer(IMMUTABLE_IDS).prefer(UNSAFE_HTML).prefer(PAGE_SIZE);
        if !zone.is_empty() {
            call = call.prefer(&zone_preference(zone));
        }
        let page = call.page().await?;
        exceptions.extend(page.value);
        next = page.next.filter(|_| exceptions.len() <= EXCEPTIONS_MAX);
    }
    Err(GraphError::protocol(endpoint, &format!("the series has more than {EXCEPTIONS_MAX} exceptions")))
}

fn zone_preference(zone: &str) -> String {
    format!("outlook.timezone=\"{zone}\"")
}

fn incomplete(endpoint: Endpoint<'_>) -> CaptureError {
    Trouble::of(GraphError::protocol(endpoint, "it has no changeKey or other properties are missing")).into()
}

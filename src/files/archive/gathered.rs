//! A file for a whole folder: its messages as mbox, its events as a calendar, its contacts as cards.

use super::content::Coming;
use super::rows::Rows;
use super::{Archive, ArchiveError, Part, Sink};
use crate::catalog::VersionRow;
use crate::files::calendar::Calendar;
use crate::files::contact;
use crate::files::mbox::Mboxed;
use crate::files::names;
use crate::files::render::{Card, Event, Properties};
use crate::repository::StoreError;

/// Whether items of a feature can stand together in one file.
pub(super) fn is_gathered(feature: &str) -> bool {
    ending(feature).is_some()
}

fn ending(feature: &str) -> Option<&'static str> {
    match feature {
        "mailbox" => Some("mbox"),
        "calendar" => Some("ics"),
        "contacts" => Some("vcf"),
        _ => None,
    }
}

impl<S: Sink> Archive<'_, S> {
    /// Writes the file of a folder, if anything goes into it. Returns how many items do not.
    pub(super) async fn gather(&mut self, part: &Part, path: &str, mut rows: Rows) -> Result<u64, ArchiveError> {
        let mut calendar = Calendar::default();
        let (mut is_open, mut left) = (false, 0);
        while let Some(page) = rows.next(self.db, part).await? {
            for row in page {
                if part.feature() == "mailbox" && row.version.content.is_none() {
                    left += 1;
                    continue;
                }
                if !is_open {
                    is_open = true;
                    let ending = ending(part.feature()).unwrap_or_default();
                    self.zip.begin(&format!("{path}.{ending}"), self.plan.at, &mut self.out)?;
                    if part.feature() == "calendar" {
                        self.bytes(Calendar::begin().as_bytes()).await?;
                    }
                }
                match part.feature() {
                    "mailbox" => self.message(part, path, &row).await?,
                    "calendar" => self.event(part, path, &row, &mut calendar).await?,
                    _ => self.card(part, path, &row).await?,
                }
                self.ended_item().await?;
            }
        }
        if is_open {
            if part.feature() == "calendar" {
                self.bytes(Calendar::end().as_bytes()).await?;
            }
            self.zip.end(&mut self.out)?;
        }
        Ok(left)
    }

    /// Properties of what was gathered, and items that have no other form.
    pub(super) async fn beside_gathered(
        &mut self,
        part: &Part,
        path: &str,
        mut rows: Rows,
    ) -> Result<(), ArchiveError> {
        while let Some(page) = rows.next(self.db, part).await? {
            for row in page {
                let was_left = part.feature() == "mailbox" && row.version.content.is_none();
                if !was_left && self.plan.properties == Properties::LeftOut {
                    continue;
                }
                let properties = row.version.properties;
                match part.reader.read(properties.pack, properties.blob).await {
                    Ok(json) => {
                        let name = format!("{path}/{}.json", names::stem(&row.version));
                        self.zip.begin(&name, row.version.time, &mut self.out)?;
                        self.bytes(&json).await?;
                        self.zip.end(&mut self.out)?;
                    }
                    Err(err) => self.not_written(path, &row, err)?,
                }
                if was_left {
                    self.ended_item().await?;
                }
            }
        }
        Ok(())
    }

    async fn message(&mut self, part: &Part, path: &str, row: &VersionRow) -> Result<(), ArchiveError> {
        let Some(content) = row.version.content else { return Ok(()) };
        let mut coming = match Coming::of(&part.reader, content).await {
            Ok(coming) => coming,
            Err(err) => return self.not_written(path, row, err),
        };
        let mut text = Vec::new();
        let mut message = Mboxed::begin(row.version.time, &mut text);
        loop {
            match coming.next().await {
                Ok(Some(piece)) => message.write(&piece, &mut text),
                Ok(None) => break,
                Err(err) => {
                    self.not_written(path, row, err)?;
                    break;
                }
            }
            self.bytes(&std::mem::take(&mut text)).await?;
        }
        message.end(&mut text);
        self.bytes(&text).await
    }

    async fn event(
        &mut self,
        part: &Part,
        path: &str,
        row: &VersionRow,
        calendar: &mut Calendar,
    ) -> Result<(), ArchiveError> {
        match Event::read(&part.reader, row).await {
            Ok(event) => {
                self.left_out(path, row, event.left_out.map(|_| "its attachments are too large for the file"));
                self.bytes(calendar.item(&event.properties, &event.attached).as_bytes()).await
            }
            Err(err) => self.not_written(path, row, err),
        }
    }

    async fn card(&mut self, part: &Part, path: &str, row: &VersionRow) -> Result<(), ArchiveError> {
        let read: Result<Card, StoreError> = Card::read(&part.reader, row).await;
        match read {
            Ok(card) => {
                self.left_out(path, row, card.left_out.map(|_| "its photo is too large for the file"));
                self.bytes(contact::card(&card.properties, card.photo.as_ref()).as_bytes()).await
            }
            Err(err) => self.not_written(path, row, err),
        }
    }

    fn left_out(&mut self, path: &str, row: &VersionRow, why: Option<&str>) {
        if let Some(why) = why {
            self.report.remark(path, row, format!("{why}: export it as a file of its own"));
        }
    }
}

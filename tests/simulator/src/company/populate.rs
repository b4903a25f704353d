//! Fills a tenant: users of every kind, their folders, and the mail between them.

use super::{World, address_book, agenda, files, habits, mail, text};
use crate::app::{App, Directory, MailboxState, Profile, Registration, User, UserKind};
use crate::clock::Clock;
use crate::dice::{Dice, hash};
use crate::faults::Faults;
use crate::locks::{read, write};
use crate::options::Options;
use crate::store::Mailbox;
use crate::store::calendar::Calendars;
use crate::store::contact::new_contacts;
use crate::store::drive::{Drive, DriveState, Stamp};
use crate::store::folder::TOP;
use crate::store::lazy::LazyBase;
use crate::store::message::{FlagStatus, Message, Person};
use crate::throttle::Gates;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, RwLock};

/// The last seeded mail is about this old at most: 2026-05-28.
const NEWEST: i64 = 1_780_000_000;
const SPAN: i64 = 3 * 365 * 86_400;

/// Every role a backup with restore may have; registrations may hold fewer.
pub const ALL_ROLES: [&str; 14] = [
    "User.Read.All",
    "Organization.Read.All",
    "MailboxSettings.Read",
    "MailboxSettings.ReadWrite",
    "Mail.Read",
    "Mail.ReadWrite",
    "MailboxItem.ImportExport.All",
    "Calendars.Read",
    "Calendars.ReadWrite",
    "Contacts.Read",
    "Contacts.ReadWrite",
    "Files.Read.All",
    "Files.ReadWrite.All",
    "Sites.ReadWrite.All",
];

pub fn tenant(options: Options) -> App {
    let seed = options.seed;
    let n_shared = usize::from(options.special_users);
    let world =
        Arc::new(World::new(seed, &format!("contoso{seed}.example"), options.users.max(1), options.large_attachments));
    let mut directory = Directory::default();
    let mut boxes = Vec::new();
    for (index, staff) in world.staff.iter().take(options.users).enumerate() {
        let mut profile = profile(&staff.person, UserKind::Member, MailboxState::Ready);
        profile.given_name.clone_from(&staff.given_name);
        profile.surname.clone_from(&staff.surname);
        profile.department = staff.department.to_owned();
        profile.job_title = staff.title.to_owned();
        boxes.push((staff.person.clone(), new_user(seed, index as u64, profile)));
    }
    for index in 0..n_shared {
        let person = Person { name: "Info Desk".into(), address: format!("info@{}", world.domain) };
        let user = new_user(seed, 10_000 + index as u64, profile(&person, UserKind::Shared, MailboxState::Ready));
        boxes.push((person, user));
    }
    let mut filled = fill(&world, &boxes, options.messages);
    for (index, ((person, mut user), mailbox)) in boxes.into_iter().zip(filled.drain(..)).enumerate() {
        user.mailbox = RwLock::new(mailbox);
        settle(&world, index as u64, &person, &user, &options);
        directory.insert(Arc::new(user));
    }
    if options.special_users {
        add_users_without_mailbox(&world, &mut directory);
    }
    if let Some(count) = options.lazy_mailbox {
        directory.insert(Arc::new(lazy_user(&world, count, 0)));
    }
    directory.users.iter().for_each(|user| files::fill(&world, user, options.files));
    let client_id = guid(&[seed, 99]);
    let registration = Registration {
        client_id: client_id.clone(),
        secret: Some(secret(seed)),
        roles: ALL_ROLES.iter().map(|role| (*role).to_owned()).collect(),
        ..Registration::default()
    };
    App {
        world,
        clock: Clock::default(),
        tenant_id: guid(&[seed, 98]),
        apps: RwLock::new(HashMap::from([(client_id, registration)])),
        tokens: RwLock::default(),
        assertions: Mutex::default(),
        directory: RwLock::new(directory),
        limits: RwLock::new(options.limits.clone()),
        faults: RwLock::new(Arc::new(Faults::default())),
        watch: crate::watch::Watch::default(),
        sessions: crate::upload::Sessions::default(),
        drive_sessions: crate::graph::drive::upload::Sessions::default(),
        sharepoint: crate::units::Meters::default(),
        directory_units: crate::units::Meters::default(),
        origin: OnceLock::new(),
        download_origin: OnceLock::new(),
        options,
    }
}

pub fn client_id(seed: u64) -> String {
    guid(&[seed, 99])
}

pub fn secret(seed: u64) -> String {
    format!("sim~{:016x}{:016x}", hash(&[seed, 97]), hash(&[seed, 96]))
}

pub fn guid(parts: &[u64]) -> String {
    let (a, b) = (hash(parts), hash(&[hash(parts), 1]));
    let four = 0x4000 | (a & 0x0fff);
    let five = 0x8000 | (b >> 48 & 0x3fff);
    format!("{:08x}-{:04x}-{four:04x}-{five:04x}-{:012x}", a >> 32, a >> 16 & 0xffff, b & 0xffff_ffff_ffff)
}

pub fn profile(person: &Person, kind: UserKind, mailbox: MailboxState) -> Profile {
    Profile {
        display_name: person.name.clone(),
        given_name: String::new(),
        surname: String::new(),
        principal_name: person.address.clone(),
        department: String::new(),
        job_title: String::new(),
        kind,
        mailbox,
        created: NEWEST - SPAN,
    }
}

pub fn new_user(seed: u64, number: u64, profile: Profile) -> User {
    let owner = Person { name: profile.display_name.clone(), address: profile.principal_name.clone() };
    let mailbox = guid(&[seed, 51, number]);
    let stamp = Stamp { at: profile.created, by: owner.clone() };
    let drive = Drive::new(hash(&[seed, 52, number]), drive_state(&profile), &stamp);
    User {
        drive: RwLock::new(drive),
        id: guid(&[seed, 50, number]),
        profile: RwLock::new(profile),
        calendars: RwLock::new(Calendars::new(mailbox.clone(), &owner)),
        contacts: RwLock::new(new_contacts(mailbox.clone())),
        settings: RwLock::default(),
        mailbox: RwLock::new(Mailbox::new(mailbox)),
        gates: Gates::default(),
    }
}

/// A mailbox on premises does not keep anybody from a drive in the cloud.
fn drive_state(profile: &Profile) -> DriveState {
    match (profile.kind, profile.mailbox) {
        (UserKind::Guest | UserKind::Shared | UserKind::Room, _) => DriveState::Unprovisioned,
        (UserKind::Member, MailboxState::Unlicensed) => DriveState::Unlicensed,
        (UserKind::Member, _) => DriveState::Ready,
    }
}

pub fn lazy_user(world: &Arc<World>, count: u64, number: u64) -> User {
    let person = Person { name: format!("Big Mailbox {number}"), address: format!("big{number}@{}", world.domain) };
    let user = new_user(world.seed, 20_000 + number, profile(&person, UserKind::Member, MailboxState::Ready));
    let base = LazyBase { seed: hash(&[world.seed, 60, number]), count, owner: person, world: Arc::clone(world) };
    write(&user.mailbox).set_lazy(base);
    user
}

fn add_users_without_mailbox(world: &World, directory: &mut Directory) {
    let cases = [
        ("Unlicensed Person", "unlicensed", UserKind::Member, MailboxState::Unlicensed),
        ("Onprem Person", "onprem", UserKind::Member, MailboxState::OnPremises),
        ("Guest Person", "guest_partner.example#EXT#", UserKind::Guest, MailboxState::Unlicensed),
    ];
    for (index, (name, local, kind, state)) in cases.into_iter().enumerate() {
        let person = Person { name: name.into(), address: format!("{local}@{}", world.domain) };
        directory.insert(Arc::new(new_user(world.seed, 30_000 + index as u64, profile(&person, kind, state))));
    }
}

// Mails go round until every mailbox is full, so that the same mail lies in several of them.
fn fill(world: &World, boxes: &[(Person, User)], wanted: usize) -> Vec<Mailbox> {
    let mut made: Vec<Mailbox> = boxes
        .iter()
        .enumerate()
        .map(|(index, (_, user))| furnish(world, index as u64, read(&user.mailbox).guid.clone()))
        .collect();
    let mut counts = vec![0usize; boxes.len()];
    let mut number = 0u64;
    let total = (wanted * boxes.len()).max(1) as i64;
    while counts.iter().any(|count| *count < wanted) {
        number += 1;
        let mut dice = Dice::of(&[world.seed, 20, number]);
        let done = counts.iter().sum::<usize>() as i64;
        let sent = NEWEST - SPAN + SPAN / total * done + dice.below(50_000) as i64;
        let open: Vec<usize> = (0..boxes.len()).filter(|i| counts[*i] < wanted).collect();
        let mut to = Vec::new();
        for _ in 0..1 + dice.below(4) {
            let index = open[dice.index(open.len())];
            if !to.contains(&index) {
                to.push(index);
            }
        }
        let from_inside = dice.percent(65);
        let sender = *dice.pick(&open);
        let from = if from_inside { boxes[sender].0.clone() } else { dice.pick(&world.outsiders).clone() };
        to.retain(|index| !from_inside || *index != sender);
        let mut people: Vec<Person> = to.iter().map(|i| boxes[*i].0.clone()).collect();
        if people.is_empty() || from_inside && dice.percent(30) {
            people.push(dice.pick(&world.outsiders).clone());
        }
        let mail = mail::write(world, number, &from, &people, sent);
        for index in to {
            let copy = mail::deliver(world, &mail, &boxes[index].0, number);
            let folder = pick_folder(&mut dice, &made[index]);
            made[index].add(folder, copy);
            counts[index] += 1;
        }
        if from_inside && counts[sender] < wanted {
            let (folder, copy) = own_copy(&mut dice, &made[sender], mail);
            made[sender].add(folder, copy);
            counts[sender] += 1;
        }
    }
    made
}

/// What the sender keeps: the sent mail, or now and then a draft that never went out.
fn own_copy(dice: &mut Dice, mailbox: &Mailbox, mut mail: Message) -> (u32, Message) {
    mail.is_read = true;
    mail.received = mail.sent;
    if dice.percent(10) {
        mail.is_draft = true;
        mail.internet_message_id = mail.internet_message_id.replacen('<', "<draft.", 1);
        return (mailbox.well_known("drafts").unwrap_or(TOP), mail);
    }
    if dice.percent(10) {
        mail.flag = mail::dated_flag(FlagStatus::Flagged, mail.sent);
    }
    (mailbox.well_known("sentitems").unwrap_or(TOP), mail)
}

/// A mailbox with folders as people have them, and no mail yet.
pub fn furnish(world: &World, index: u64, guid: String) -> Mailbox {
    let mut dice = Dice::of(&[world.seed, 30, index]);
    let mut mailbox = Mailbox::new(guid);
    for _ in 0..3 + dice.below(3) {
        let name = *dice.pick(&text::FOLDERS);
        let Ok(folder) = mailbox.create_folder(TOP, name, false) else {
            continue;
        };
        if dice.percent(60)
            && let Ok(child) = mailbox.create_folder(folder, &format!("{name} 2026"), false)
            && dice.percent(50)
            && mailbox.create_folder(child, "Done", false).is_err()
        {
            continue;
        }
    }
    if let Some(inbox) = mailbox.well_known("inbox")
        && let Ok(child) = mailbox.create_folder(inbox, "Project Alpha", false)
        && mailbox.create_folder(child, "Minutes", false).is_ok()
    {
        tracing::trace!(index, "folders below the inbox");
    }
    if let Ok(hidden) = mailbox.create_folder(TOP, "Conversation Action Settings", true) {
        tracing::trace!(index, hidden, "hidden folder");
    }
    if let Ok(search) = mailbox.create_folder(TOP, "Unread Mail", false) {
        mailbox.mark_search(search);
    }
    mailbox
}

/// All that a mailbox has besides mail.
pub fn settle(world: &World, index: u64, person: &Person, user: &User, options: &Options) {
    let (mut calendars, mut contacts) = (write(&user.calendars), write(&user.contacts));
    agenda::furnish(world, index, person, &mut calendars, options.events);
    address_book::furnish(world, index, &mut contacts, options.contacts);
    *write(&user.settings) = habits::settings(world, index, &read(&user.mailbox));
}

fn pick_folder(dice: &mut Dice, mailbox: &Mailbox) -> u32 {
    let known = |name: &str| mailbox.well_known(name).unwrap_or(TOP);
    match dice.below(100) {
        0..=54 => known("inbox"),
        55..=59 => known("archive"),
        60..=63 => known("deleteditems"),
        64..=65 => known("junkemail"),
        _ => {
            let own: Vec<u32> =
                mailbox.folders().filter(|f| f.well_known.is_none() && !f.search && f.id > TOP).map(|f| f.id).collect();
            *dice.pick(&own)
        }
    }
}

/// New mail that arrives now. Returns the numbers of the new items.
pub fn arrive(app: &App, user: &User, folder: u32, count: usize, seed: u64) -> Vec<u64> {
    let world = &app.world;
    let owner = Person { name: user.profile().display_name, address: user.profile().principal_name };
    let now = app.clock.now();
    let mut made = Vec::with_capacity(count);
    for i in 0..count as u64 {
        let mut dice = Dice::of(&[world.seed, 40, seed, i]);
        let from = dice.pick(&world.outsiders).clone();
        let number = 1_000_000_000 + hash(&[seed, i]) % 1_000_000_000;
        let mut mail = mail::write(world, number, &from, std::slice::from_ref(&owner), now - 5);
        mail.received = now;
        mail.created = now;
        mail.modified = now;
        let mut copy = mail::deliver(world, &mail, &owner, number);
        copy.is_read = false;
        made.push(write(&user.mailbox).add(folder, copy));
    }
    made
}

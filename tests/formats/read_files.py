"""Reads calendars and cards with libraries that know nothing of KODO, and prints what they found as JSON.

Usage: read_files.py FILE...
"""

import datetime
import json
import sys

import icalendar
import vobject

OCCURRENCES_MAX = 8


def utc(moment):
    """A moment as text: days as days, times by the clock of UTC."""
    if isinstance(moment, datetime.datetime):
        if moment.tzinfo is None:
            return moment.isoformat()
        return moment.astimezone(datetime.timezone.utc).isoformat()
    return moment.isoformat()


def dates(component, name):
    found = component.get(name, [])
    found = found if isinstance(found, list) else [found]
    return [utc(date.dt) for several in found for date in several.dts]


def calendar(text):
    parsed = icalendar.Calendar.from_ical(text)
    strict = vobject.readOne(text.decode())
    assert strict.validate(raiseException=True)
    events = []
    for event, other in zip(parsed.walk("VEVENT"), strict.contents.get("vevent", [])):
        assert not event.errors, event.errors
        rules = other.getrruleset(addRDate=True)
        occurrences = []
        for occurrence in rules or []:
            occurrences.append(utc(occurrence))
            if len(occurrences) == OCCURRENCES_MAX:
                break
        attendees = event.get("ATTENDEE", [])
        attendees = attendees if isinstance(attendees, list) else [attendees]
        attached = event.get("ATTACH", [])
        attached = attached if isinstance(attached, list) else [attached]
        events.append({
            "uid": str(event["UID"]),
            "summary": str(event.get("SUMMARY", "")),
            "description": str(event.get("DESCRIPTION", "")),
            "start": utc(event["DTSTART"].dt),
            "end": utc(event["DTEND"].dt) if "DTEND" in event else None,
            "recurrence_id": utc(event["RECURRENCE-ID"].dt) if "RECURRENCE-ID" in event else None,
            "cancelled": dates(event, "EXDATE"),
            "occurrences": occurrences,
            "attendees": [[str(one), one.params.get("CN", ""), one.params.get("PARTSTAT", "")] for one in attendees],
            "categories": [str(one) for one in event["CATEGORIES"].cats] if "CATEGORIES" in event else [],
            "attached": [[one.params.get("X-FILENAME", ""), one.to_ical().decode()] for one in attached],
        })
    return events


def cards(text):
    found = []
    for card in vobject.readComponents(text.decode()):
        assert card.validate(raiseException=True)
        found.append({
            "name": card.fn.value,
            "family": card.n.value.family,
            "given": card.n.value.given,
            "emails": [email.value for email in card.contents.get("email", [])],
            "phones": [phone.value for phone in card.contents.get("tel", [])],
            "addresses": [address.value.city for address in card.contents.get("adr", [])],
            "categories": card.categories.value if "categories" in card.contents else [],
            "note": card.note.value if "note" in card.contents else None,
            "photo_bytes": len(card.photo.value) if "photo" in card.contents else 0,
        })
    return found


result = {}
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        text = file.read()
    result[path] = calendar(text) if path.endswith(".ics") else cards(text)
json.dump(result, sys.stdout)

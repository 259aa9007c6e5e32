"""Reads notices as programs of others do: with Python's email package, and with flufl.bounce, which Mailman uses.

Argument: a folder of messages (NAME.eml). Answers a line of JSON for each.
"""
import datetime
import email
import email.policy
import email.utils
import json
import pathlib
import re
import sys

import flufl.bounce


def defects(part):
    return [type(d).__name__ for d in part.defects] + [d for p in part.iter_parts() for d in defects(p)]


def blocks(octets):
    """The blocks of the status, as a reader of headers has them, whatever the part is encoded in.

    The package takes a message/global-delivery-status for a message. Called something else, it is octets.
    """
    for kind in (b"message/delivery-status", b"message/global-delivery-status"):
        octets = octets.replace(b"\nContent-Type: " + kind, b"\nContent-Type: application/octet-stream")
    text = email.message_from_bytes(octets).get_payload()[1].get_payload(decode=True).decode()
    parsed = [email.message_from_string(block) for block in text.replace("\r\n", "\n").strip().split("\n\n")]
    return [[[name, " ".join(value.split())] for name, value in block.items()] for block in parsed]


def times(octets, message):
    """Every date that a program reads: the field, seconds since 1970, and how far its zone is from UTC."""
    written = [["Date", message["Date"]]] + [f for block in blocks(octets) for f in block]
    dates = [[name, email.utils.parsedate_to_datetime(str(value))] for name, value in written
             if name.endswith("Date") or name == "Will-Retry-Until"]
    return [[name, int(date.timestamp()), int(date.utcoffset().total_seconds())] for name, date in dates]


def spoken(text):
    """The moments that people read, as seconds since 1970. All of them are said to be of UTC."""
    found = re.findall(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(?= UTC)", text)
    return [int(datetime.datetime.fromisoformat(moment + "+00:00").timestamp()) for moment in found]


def minute(times):
    """When the message came, as people are told it."""
    arrived = next(moment for name, moment, _ in times if name == "Arrival-Date")
    return datetime.datetime.fromtimestamp(arrived, datetime.timezone.utc).strftime("%H:%M")


for path in sorted(pathlib.Path(sys.argv[1]).glob("*.eml")):
    octets = path.read_bytes()
    message = email.message_from_bytes(octets, policy=email.policy.default)
    parts = list(message.iter_parts())
    # flufl.bounce reads messages of the classic policy.
    compat = email.message_from_bytes(octets)
    temporary, permanent = flufl.bounce.all_failures(compat)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    print(json.dumps({
        "name": path.stem,
        "defects": defects(message),
        "kind": message.get_content_type(),
        "report_type": message.get_param("report-type"),
        "from": message["From"].addresses[0].addr_spec,
        "from_name": message["From"].addresses[0].display_name,
        "subject": message["Subject"],
        "times": times(octets, message),
        "spoken": spoken(text.get_content()) + spoken(html.get_content()),
        "sent": minute(times(octets, message)),
        "auto": message["Auto-Submitted"],
        "language": message["Content-Language"],
        "parts": [part.get_content_type() for part in parts],
        "status": blocks(octets),
        "text": text and text.get_content(),
        "html": html and html.get_content(),
        "returned": parts[2].as_bytes().decode("utf-8", "replace"),
        "temporary": sorted(address.decode() for address in temporary),
        "permanent": sorted(address.decode() for address in permanent),
    }))

"""Reads notices as programs of others do: with Python's email package, and with flufl.bounce, which Mailman uses.

Argument: a folder of messages (NAME.eml). Answers a line of JSON for each.
"""
import email
import email.policy
import json
import pathlib
import sys

import flufl.bounce


def defects(part):
    return [type(d).__name__ for d in part.defects] + [d for p in part.iter_parts() for d in defects(p)]


def fields(block):
    return [[name, " ".join(str(value).split())] for name, value in block.items()]


for path in sorted(pathlib.Path(sys.argv[1]).glob("*.eml")):
    octets = path.read_bytes()
    message = email.message_from_bytes(octets, policy=email.policy.default)
    parts = list(message.iter_parts())
    # The classic policy leaves the blocks of a delivery-status as they are written.
    compat = email.message_from_bytes(octets)
    status = compat.get_payload()[1]
    # flufl.bounce reads messages of the classic policy.
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
        "date": message["Date"].datetime.isoformat(),
        "auto": message["Auto-Submitted"],
        "language": message["Content-Language"],
        "parts": [part.get_content_type() for part in parts],
        "status": [fields(block) for block in status.get_payload()] if isinstance(status.get_payload(), list) else status.get_payload(),
        "text": text and text.get_content(),
        "html": html and html.get_content(),
        "returned": parts[2].as_bytes().decode("utf-8", "replace"),
        "temporary": sorted(address.decode() for address in temporary),
        "permanent": sorted(address.decode() for address in permanent),
    }))

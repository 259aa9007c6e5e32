"""Checks every signature of every message in a folder with dkimpy, and that one changed octet breaks them.

Arguments: a folder of messages (NAME.eml, CRLF line ends), a file of JSON: DNS name -> text of its TXT record.
Answers a line of JSON for each message: {"name", "valid": [...], "altered_body": [...], "altered_header": [...], "selectors": [...]}.
"""
import json
import pathlib
import sys

import dkim

RECORDS = {name.encode(): text.encode() for name, text in json.load(open(sys.argv[2])).items()}


def lookup(name, timeout=5):
    return RECORDS.get(name.rstrip(b"."))


def verify(message):
    count = len([1 for name, _ in dkim.rfc822_parse(message)[0] if name.lower() == b"dkim-signature"])
    valid, selectors = [], []
    for number in range(count):
        checked = dkim.DKIM(message, minkey=1024)
        try:
            valid.append(bool(checked.verify(idx=number, dnsfunc=lookup)))
        except dkim.DKIMException as why:
            valid.append(f"{type(why).__name__}: {why}")
        selectors.append((checked.signature_fields or {}).get(b"s", b"").decode())
    return valid, selectors


def altered(message, at):
    """Another letter or digit in place of the first one from here on."""
    for place in range(at, len(message)):
        octet = message[place:place + 1]
        if octet.isalnum():
            other = b"x" if octet != b"x" else b"y"
            return message[:place] + other + message[place + 1:]
    return None


for path in sorted(pathlib.Path(sys.argv[1]).glob("*.eml")):
    message = path.read_bytes()
    valid, selectors = verify(message)
    answer = {"name": path.stem, "valid": valid, "selectors": selectors}
    body = message.find(b"\r\n\r\n")
    for what, at in (("altered_body", body + 4 if body >= 0 else len(message)), ("altered_header", message.lower().find(b"\r\nfrom") + 8)):
        changed = altered(message, at)
        answer[what] = None if changed is None else [v is True for v in verify(changed)[0]]
    print(json.dumps(answer))

#!/usr/bin/env python3
"""Reads a store of format 1 as docs/FORMAT.md describes it and prints what it holds as JSON.

It knows nothing but that page, so that it is the page that is tested. Needs blake3, cbor2, cryptography and zstandard
from PyPI. Usage: read_format1.py DIRECTORY [RECOVERY_KEY]
"""

import base64
import io
import json
import pathlib
import struct
import sys
import uuid

import blake3
import cbor2
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def derive(context, material):
    return blake3.blake3(material, derive_key_context=context).digest()


def keyed(key, data):
    return blake3.blake3(data, key=key).digest()


# Section 2: keys.


def read_recovery_key(text):
    digits = text.strip().replace("-", "")
    assert len(digits) == 56, "14 groups of 4"
    bits = "".join(f"{CROCKFORD.index(digit):05b}" for digit in digits)
    assert bits[256:260] == "0000"
    key = int(bits[:256], 2).to_bytes(32, "big")
    check = "".join(f"{byte:08b}" for byte in blake3.blake3(key).digest())[:20]
    assert bits[260:] == check, "the checksum of the recovery key"
    return key


def unwrap(directory, store, recovery_key):
    for path in sorted((directory / "keys").iterdir()):
        file = json.loads(path.read_text())
        assert file["format"] == 1 and file["store"] == str(store) and path.stem == file["id"]
        if file["kdf"]["name"] != "recovery":
            continue
        key = derive("kodo format 1: recovery key wraps master key", recovery_key)
        label = f"kodo master key {store.hex} {file['id']}".encode()
        return AESGCM(key).decrypt(bytes.fromhex(file["nonce"]), bytes.fromhex(file["wrapped"]), label)
    raise SystemExit("no key file for a recovery key")


# Section 3: packs.


class Pack:
    def __init__(self, path, store, master):
        self.raw = path.read_bytes()
        self.id = bytes.fromhex(path.stem)
        assert path.parent.name == path.stem[:2]
        self.aes = AESGCM(derive("kodo format 1: pack key", master + self.id)) if master else None
        self.read_header(store, master)
        self.read_trailer()
        self.read_index()

    def read_header(self, store, master):
        head = self.raw[:64]
        magic, number, flags, self.store, pack, self.writer, self.created, crc = struct.unpack("<4sHH16s16s16sII", head)
        assert (magic, number, pack, self.store) == (b"KODO", 1, self.id, store.bytes)
        assert crc == crc32c(head[:60])
        self.aligned, encrypted = bool(flags & 1), bool(flags & 2)
        assert flags & ~3 == 0 and encrypted == bool(master)

    def read_trailer(self):
        tail = self.raw[-96:]
        data_hash, sections_hash, at, index, index_plain, records, records_plain, crc, magic = struct.unpack(
            "<32s32sQIIIII4s", tail
        )
        assert magic == b"KEND" and crc == crc32c(tail[:88])
        assert blake3.blake3(self.raw[:at]).digest() == data_hash
        assert blake3.blake3(self.raw[at:-96]).digest() == sections_hash
        padding = self.raw[at + index + records : -96]
        assert len(padding) < 4096 and not any(padding)
        if self.aligned:
            assert at % 4096 == 0 and len(self.raw) % 4096 == 0
        self.index_plain = self.open(self.raw[at : at + index], 2**32 - 2, b"I", 1, index_plain)
        stored = self.raw[at + index : at + index + records]
        self.records_plain = self.open(stored, 2**32 - 1, b"R", 1, records_plain)

    def open(self, stored, number, letter, codec, plain_bytes):
        if self.aes:
            nonce = struct.pack("<I", number) + bytes(8)
            stored = self.aes.decrypt(nonce, stored, self.id + struct.pack("<I", number) + letter)
        if codec == 1:
            stored = zstandard.ZstdDecompressor().decompress(stored, max_output_size=max(plain_bytes, 1))
        assert len(stored) == plain_bytes
        return stored

    def read_index(self):
        plain = self.index_plain
        pack, n_frames, n_blobs, self.n_records, zero = struct.unpack_from("<16sIIII", plain)
        assert pack == self.id and zero == 0 and len(plain) == 32 + 24 * n_frames + 48 * n_blobs
        self.frames = [struct.unpack_from("<QIIIBcH", plain, 32 + 24 * n) for n in range(n_frames)]
        at = 32 + 24 * n_frames
        self.blobs = [struct.unpack_from("<32sIIIB3s", plain, at + 48 * n) for n in range(n_blobs)]
        ids = [blob[0] for blob in self.blobs]
        assert ids == sorted(set(ids))

    def frame(self, number):
        offset, stored_bytes, plain_bytes, crc, codec, kind, _ = self.frames[number]
        stored = self.raw[offset : offset + stored_bytes]
        assert crc32c(stored) == crc and not (self.aligned and offset % 4096)
        return self.open(stored, number, kind, codec, plain_bytes)


# Section 5: recipes.


def base64_lines(content, width, crlf):
    text = base64.b64encode(content)
    if width == 0:
        return text
    return (b"\r\n" if crlf else b"\n").join(text[at : at + width] for at in range(0, len(text), width))


def follow(recipe, blobs, id_key):
    recipe = cbor2.loads(recipe)
    assert recipe[0] == 1
    content = b""
    for step, fields in recipe[3]:
        if step == 0:
            content += fields[0]
            continue
        parts = fields[-1]
        plain = [blobs[part] for part, length in parts]
        assert [len(part) for part in plain] == [length for part, length in parts]
        content += b"".join(plain) if step == 1 else base64_lines(b"".join(plain), fields[0], fields[1])
    assert len(content) == recipe[1] and keyed(id_key, content) == recipe[2]
    return content


# Section 7: records.

NAMES = {
    0: ("chain", "tenant resource resource_kind name address feature"),
    1: ("point begins", "when"),
    2: ("container", "id parent name hidden well_known"),
    3: ("container gone", "id"),
    4: ("item", "container id kind flags change_tag name party time_s bytes properties content refs parent"),
    5: ("item gone", "item"),
    6: ("cursor", "container state full_walk_point"),
    7: ("issue", "container id name reason message attempts when skipped"),
    8: ("issue resolved", "item"),
    9: ("point sealed", "when items added changed removed issues bytes_read bytes_stored"),
    10: ("expired", "points"),
    11: ("compacted", "old new"),
}


def shown(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return f"{value[0].hex()}/{value[1].hex()}"
    if isinstance(value, list):
        return [shown(one) for one in value]
    return value


def read_records(pack):
    chains, records, at = {}, [], 0
    stream = io.BytesIO(pack.records_plain)
    while stream.tell() < len(pack.records_plain):
        kind, chain, point, sequence, body = cbor2.load(stream)
        name, keys = NAMES[kind]
        body = {key: shown(body[n]) for n, key in enumerate(keys.split()) if n in body}
        at += 1
        if kind == 0:
            assert (point, sequence) == (0, 0)
            chains[chain] = body
            continue
        records.append({"kind": name, "chain": chains.get(chain), "point": point, "sequence": sequence, "body": body})
    assert at == pack.n_records
    return records


def read(directory, recovery_key):
    description = json.loads((directory / "STORE.json").read_text())
    assert description["format"] == 1
    store = uuid.UUID(description["store"])
    encrypted = description["crypto"] == "aes256gcm"
    master = unwrap(directory, store, read_recovery_key(recovery_key)) if encrypted else None
    id_key = derive("kodo format 1: blob id key", master or store.bytes)
    assert keyed(id_key, b"kodo format 1: key check")[:16].hex() == description["key_check"]
    packs = [Pack(path, store, master) for path in sorted(directory.glob("packs/*/*.kpk"))]
    blobs = {}
    for pack in packs:
        for id, frame, offset, length, kind, _ in pack.blobs:
            plain = pack.frame(frame)[offset : offset + length]
            assert len(plain) == length and keyed(id_key, plain) == id
            blobs[id[:16]] = plain
    records = sorted((one for pack in packs for one in read_records(pack)), key=lambda r: (r["point"], r["sequence"]))
    items = []
    for record in records:
        if record["kind"] == "item":
            body = record["body"]
            own = {name: bytes.fromhex(body[name].split("/")[1]) for name in ("properties", "content") if name in body}
            content = follow(blobs[own["content"]], blobs, id_key) if "content" in own else None
            properties = blobs[own["properties"]].decode()
            digest = blake3.blake3(content).hexdigest() if content is not None else None
            items.append({"name": body["name"], "properties": properties, "content": digest})
    return {
        "store": str(store),
        "layout": description["layout"],
        "encrypted": encrypted,
        "packs": [pack.id.hex() for pack in packs],
        "blobs": {id.hex(): blake3.blake3(plain).hexdigest() for id, plain in blobs.items()},
        "records": records,
        "items": items,
    }


if __name__ == "__main__":
    json.dump(read(pathlib.Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""), sys.stdout, indent=1)

"""JSON: nested documents are written, read, edited and written again."""
import json
import zlib


def document(number):
    return {
        "id": number,
        "name": "document %d" % number,
        "tags": ["tag%d" % ((number * step) % 97) for step in range(1, 9)],
        "owner": {"first": "f%d" % (number % 313), "last": "l%d" % (number % 1009), "age": number % 90, "note": None},
        "items": [{"sku": "s-%05d" % (number * step % 65521), "count": step, "price": step * 1.25, "sold": step % 2 == 0} for step in range(6)],
    }


def main():
    checksum = 0
    for batch in range(2):
        text = json.dumps([document(batch * 2000 + number) for number in range(2000)])
        documents = json.loads(text)
        for entry in documents:
            entry["items"] = [item for item in entry["items"] if item["sold"]]
            entry["total"] = sum(item["price"] * item["count"] for item in entry["items"])
            del entry["owner"]["note"]
        lines = [json.dumps(entry, sort_keys=True) for entry in documents]
        again = [json.loads(line) for line in lines]
        checksum = zlib.crc32(json.dumps(again[::2], indent=1).encode(), checksum)
    print("json", checksum)


main()

"""Tables: rows are generated, indexed, joined, grouped and sorted by several keys, then updated in place."""


def rows(count):
    state = 42
    for number in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        yield {"id": number, "name": "item%d" % (state >> 40), "group": (state >> 33) % 700, "price": (state >> 20) % 100000 / 100}


def main():
    table = list(rows(60000))
    by_name = {row["name"]: row for row in table}
    groups = {}
    for row in table:
        groups.setdefault(row["group"], []).append(row)
    totals = {group: (len(members), sum(row["price"] for row in members)) for group, members in groups.items()}
    ordered = sorted(table, key=lambda row: (row["group"], -row["price"], row["id"]))
    tuples = sorted((row["price"], row["name"], row["id"]) for row in table)
    checksum = 0
    for place, row in enumerate(ordered):
        if place % 3 == 0:
            by_name.pop(row["name"], None)
        else:
            by_name[row["name"] + "/copy"] = dict(row, price=row["price"] + 1)
    for place, (price, name, number) in enumerate(tuples):
        if place % 5 == 0:
            checksum = (checksum * 31 + int(price * 100) + len(name) + number) & 0xFFFFFFFF
    best = max(totals.items(), key=lambda item: (item[1][0], item[0]))
    print("tables", checksum, len(by_name), best[0], round(best[1][1], 2))


main()

"""The commands that the redis case sends: made, not stored, since they are 6000 lines."""


def commands():
    lines = []
    for n in range(3000):
        lines.append(f"SET key:{n * 7 % 1000} value-{'x' * (n * 13 % 400)}-{n}")
        if n % 3 == 0:
            lines.append(f"LPUSH list:{n % 17} item-{n} {'y' * (n % 90)}e")
        if n % 5 == 0:
            lines.append(f"HSET hash:{n % 11} field{n} {'z' * (n % 120)}e")
        if n % 7 == 0:
            lines.append(f"ZADD zset:{n % 5} {n * 31 % 997} member{n}")
        if n % 11 == 0:
            lines.append(f"DEL key:{n % 500}")
        if n % 4 == 0:
            lines.append(f"APPEND grow:{n % 3} {'g' * (n % 60)}e")
    lines += [f"GET key:{n}" for n in range(0, 1000, 7)]
    lines += [f"LRANGE list:{n} 0 -1" for n in range(17)]
    lines += [f"HGET hash:{n % 11} field{n * 5}" for n in range(300)]
    lines += [f"ZRANGE zset:{n} 0 -1 WITHSCORES" for n in range(5)]
    lines += ["STRLEN grow:0", "SORT list:3 ALPHA LIMIT 0 20", "DBSIZE",
              "EVAL \"local s = 0 for i = 1, 100000 do s = s + #tostring(i) end return s\" 0",
              "DEBUG RELOAD", "DBSIZE", "SAVE", "FLUSHALL", "DBSIZE"]
    return ("\n".join(lines) + "\n").encode()

-- redis-benchmark's keys are random, so the results of allocators are compared on data of a fixed kind: it is made here,
-- and DEBUG DIGEST tells what the server then holds.
for n = 1, 3000 do
  redis.call("SET", "s" .. n % 700, string.rep("x", n % 513) .. n)
  redis.call("APPEND", "s" .. n % 311, "tail" .. n)
  redis.call("HSET", "h" .. n % 97, "f" .. n, string.rep("v", n % 90))
  redis.call("ZADD", "z" .. n % 61, n * 7919 % 1009, "m" .. n)
  redis.call("LPUSH", "l" .. n % 53, string.rep("l", n % 200))
  redis.call("SADD", "t" .. n % 41, "e" .. n % 977)
  if n % 5 == 0 then redis.call("RPOP", "l" .. (n * 3) % 53) end
  if n % 7 == 0 then redis.call("DEL", "s" .. (n * 5) % 700) end
end
return redis.call("DBSIZE")

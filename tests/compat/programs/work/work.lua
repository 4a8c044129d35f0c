-- Work for the Lua interpreter: trees, strings, tables, sorting, coroutines.
local function tree(depth)
  if depth == 0 then return {} end
  return { tree(depth - 1), tree(depth - 1) }
end
local function count(node)
  local sum = 1
  for _, child in ipairs(node) do sum = sum + count(child) end
  return sum
end
for depth = 4, 14, 2 do print("tree", depth, count(tree(depth))) end

local words, seed = {}, 42
for i = 1, 50000 do
  seed = (seed * 1103515245 + 12345) % 2147483648
  words[i] = "w" .. seed % 9973 .. string.rep("x", seed % 17)
end
table.sort(words)
local frequency = {}
for _, word in ipairs(words) do frequency[word] = (frequency[word] or 0) + 1 end
local unique = 0
for _ in pairs(frequency) do unique = unique + 1 end
print("words", #words, unique, words[1], words[#words])
local text = table.concat(words, " ")
print("text", #text, select(2, text:gsub("w(%d)%1", "<%1>")), #text:upper():reverse())

local buffer = {}
for i = 1, 2000 do buffer[#buffer + 1] = string.format("%05d:%s", i, ("ab"):rep(i % 300)) end
print("buffer", #table.concat(buffer))

local producer = coroutine.wrap(function() for i = 1, 20000 do coroutine.yield({ i, tostring(i) }) end end)
local sum = 0
for item in producer do sum = sum + item[1] + #item[2] end
print("coroutine", sum)

local weak = setmetatable({}, { __mode = "k" })
for i = 1, 20000 do weak[{ i }] = string.rep("y", i % 50) end
collectgarbage()
print("weak", next(weak) == nil)

-- Text: a generated book is split, counted, rewritten with patterns, formatted and joined.
local syllables = {"ka", "lo", "mi", "ter", "un", "vas", "que", "dor", "len", "ish", "pra", "to", "sel", "gan", "ur"}

local function book(count, seed)
  local state, lines, line = seed, {}, {}
  for _ = 1, count do
    state = (state * 1103515245 + 12345) & 0x7FFFFFFF
    local word = ""
    for shift = 0, (state >> 8) % 4 do
      word = word .. syllables[(state >> (shift * 4 + 10)) % #syllables + 1]
    end
    line[#line + 1] = word
    if #line == 9 then
      lines[#lines + 1] = table.concat(line, " ")
      line = {}
    end
  end
  return table.concat(lines, "\n")
end

local checksum = 0
for seed = 1, 6 do
  local text = book(40000, seed)
  local counts, order = {}, {}
  for word in text:gmatch("%a+") do
    if not counts[word] then order[#order + 1] = word end
    counts[word] = (counts[word] or 0) + 1
  end
  table.sort(order, function(a, b)
    if counts[a] ~= counts[b] then return counts[a] > counts[b] end
    return a < b
  end)
  local swapped = text:gsub("(%a+) (%a+)", "%2-%1")
  local titles = {}
  for line in swapped:gmatch("[^\n]+") do
    titles[#titles + 1] = string.format("%06d: %s", #titles, line:reverse():upper())
  end
  for place = 1, #titles, 7 do
    checksum = (checksum * 33 + #titles[place] + titles[place]:byte(-1) * titles[place]:byte(11)) & 0xFFFFFFFF
  end
  checksum = (checksum + #table.concat(titles, "\n") + counts[order[4]] + #order) & 0xFFFFFFFF
end
print("text", checksum)

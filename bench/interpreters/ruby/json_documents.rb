# JSON: nested documents are written, read, edited and written again.
require "json"
require "zlib"

def document(number)
  {
    "id" => number,
    "name" => "document number #{number} of the collection",
    "tags" => (1..8).map { |step| "tag#{number * step % 97}" },
    "owner" => { "first" => "f#{number % 313}", "last" => "l#{number % 1009}", "note" => nil },
    "items" => (0..5).map { |step| { "sku" => format("s-%05d", number * step % 65521), "count" => step, "sold" => step.odd? } }
  }
end

checksum = 0
3.times do |batch|
  text = JSON.generate((1..2000).map { |number| document(batch * 2000 + number) })
  documents = JSON.parse(text)
  documents.each do |entry|
    entry["items"] = entry["items"].select { |item| item["sold"] }
    entry["owner"].delete("note")
  end
  lines = documents.map { |entry| JSON.generate(entry) }
  again = lines.map { |line| JSON.parse(line) }
  checksum = Zlib.crc32(JSON.pretty_generate(again), checksum)
end
puts "json #{checksum}"

# Work for the Ruby interpreter: trees, strings, hashes, JSON, sorting, threads, fibres, and a forked child.
require "json"
require "digest"

def tree(depth) = depth.zero? ? [] : [tree(depth - 1), tree(depth - 1)]
def count(node) = 1 + node.sum { |child| count(child) }
[4, 8, 12, 14].each { |depth| puts "tree #{depth} #{count(tree(depth))}" }

random = Random.new(42)
words = Array.new(40_000) { "w#{random.rand(9973)}#{"x" * random.rand(17)}" }
frequency = words.tally
puts frequency.size, frequency.max_by { |word, n| [n, word] }.inspect, words.sort.values_at(0, -1).inspect
text = words.join(" ")
puts text.size, text.scan(/w(\d)\1/).size, text.gsub(/x+/) { |run| run.size.to_s }.size

documents = Array.new(2000) { |n| { "id" => n, "name" => "y" * (n % 50), "list" => (0..n % 20).to_a } }
encoded = JSON.generate(documents)
puts JSON.parse(encoded) == documents, Digest::SHA256.hexdigest(encoded)

symbols = (1..5000).map { |n| "symbol_#{n}".to_sym }
puts symbols.size, (2**5000).to_s.size, (1..3000).inject(:*).to_s.size
puts Array.new(4) { |n| Thread.new { Array.new(20_000) { |i| (i * n).to_s }.join.size } }.map(&:value).inspect
fibre = Fiber.new { 1000.times { |n| Fiber.yield "f" * n } && nil }
total = 0
while (part = fibre.resume) do total += part.size end
puts total
GC.start
GC.compact if GC.respond_to?(:compact)
reader, writer = IO.pipe
child = fork { reader.close; writer.puts(Array.new(1000) { |n| n.to_s * 3 }.join.size); exit!(0) }
writer.close
puts reader.read
Process.wait(child)
puts $?.exitstatus

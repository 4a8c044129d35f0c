# Work for the Perl interpreter: trees, strings, hashes, sorting, regular expressions, and a forked child.
use strict;
use warnings;

sub tree { my $depth = shift; return $depth ? [tree($depth - 1), tree($depth - 1)] : [] }
sub count { my $node = shift; my $sum = 1; $sum += count($_) for @$node; return $sum }
print "tree $_ ", count(tree($_)), "\n" for (4, 8, 12, 14);

my ($seed, @words) = (42);
for (1 .. 50_000) {
    $seed = ($seed * 1103515245 + 12345) % 2147483648;
    push @words, "w" . $seed % 9973 . "x" x ($seed % 17);
}
my %frequency;
$frequency{$_}++ for @words;
my @sorted = sort { $frequency{$b} <=> $frequency{$a} || $a cmp $b } keys %frequency;
print scalar(@sorted), " $sorted[0] $sorted[-1]\n";

my $text = join " ", @words;
my $found = () = $text =~ /w(\d)\1/g;
(my $changed = $text) =~ s/(x+)/length $1/ge;
print length $text, " $found ", length $changed, "\n";

my $grown = "";
$grown .= chr(65 + $_ % 26) x ($_ % 700) for 1 .. 5000;
print length $grown, " ", unpack("%32C*", $grown), "\n";

my %nested;
push @{ $nested{ $_ % 97 }{ $_ % 13 } }, "v$_" for 1 .. 30_000;
delete @nested{ grep { $_ % 2 } keys %nested };
print join(",", map { "$_=" . scalar keys %{ $nested{$_} } } sort { $a <=> $b } keys %nested), "\n";

pipe my $reader, my $writer or die;
if (my $child = fork) {
    close $writer;
    print <$reader>;
    waitpid $child, 0;
    print "child $?\n";
} else {
    close $reader;
    print $writer join("", map { "line $_\n" } 1 .. 50);
    close $writer;
    exit 0;
}

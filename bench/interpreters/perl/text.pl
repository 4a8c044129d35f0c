# Text: a generated book is split, counted, rewritten by regular expressions, formatted and joined.
use strict;
use warnings;

my @syllables = qw(ka lo mi ter un vas que dor len ish pra to sel gan ur);

sub book {
    my ($count, $seed) = @_;
    my ($state, @lines, @line) = ($seed);
    for (1 .. $count) {
        $state = ($state * 1103515245 + 12345) & 0x7FFFFFFF;
        my $word = "";
        for my $shift (0 .. ($state >> 8) % 4) {
            $word .= $syllables[($state >> ($shift * 4 + 10)) % @syllables];
        }
        push @line, $word;
        if (@line == 9) {
            push @lines, join(" ", @line);
            @line = ();
        }
    }
    return join("\n", @lines);
}

my $checksum = 0;
for my $seed (1 .. 4) {
    my $text = book(40000, $seed);
    my %counts;
    for my $line (split /\n/, $text) {
        $counts{$_}++ for split / /, $line;
    }
    my @order = sort { $counts{$b} <=> $counts{$a} || $a cmp $b } keys %counts;
    (my $swapped = $text) =~ s/(\w+) (\w+)/$2-$1/g;
    my $number = 0;
    my @titles = map { sprintf("%06d: %s", $number++, uc reverse $_) } split /\n/, $swapped;
    for (my $place = 0; $place < @titles; $place += 7) {
        my $title = $titles[$place];
        $checksum = ($checksum * 33 + length($title) + ord(substr($title, -1)) * ord(substr($title, 10))) & 0xFFFFFFFF;
    }
    my $report = join("\n", map { sprintf("%-20s%6d", $_, $counts{$_}) } @order);
    $checksum = ($checksum + length($report) + $counts{$order[3]}) & 0xFFFFFFFF;
}
print "text $checksum\n";

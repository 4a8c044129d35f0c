# Tables: rows are generated, indexed, grouped, sorted by several keys and updated in place.
use strict;
use warnings;

sub rows {
    my ($count) = @_;
    my ($state, @made) = (42);
    for my $number (1 .. $count) {
        $state = ($state * 1103515245 + 12345) & 0x7FFFFFFF;
        push @made, { id => $number, name => "item$state", group => ($state >> 12) % 700, price => (($state >> 5) % 100000) / 100 };
    }
    return \@made;
}

my $table = rows(40000);
my (%by_name, %groups);
for my $row (@$table) {
    $by_name{ $row->{name} } = $row;
    push @{ $groups{ $row->{group} } }, $row;
}
my ($checksum, $place) = (0, 0);
for my $number (sort { $a <=> $b } keys %groups) {
    for my $row (sort { $a->{price} <=> $b->{price} || $a->{id} <=> $b->{id} } @{ $groups{$number} }) {
        $checksum = ($checksum * 31 + int($row->{price} * 100) + $row->{id}) & 0xFFFFFFFF;
        if (++$place % 3 == 0) {
            delete $by_name{ $row->{name} };
        } else {
            $by_name{"$row->{name}/copy"} = { %$row, price => $row->{price} + 1 };
        }
    }
}
my @names = sort keys %by_name;
for (my $at = 0; $at < @names; $at += 11) {
    $checksum = ($checksum * 31 + length($names[$at]) + $by_name{ $names[$at] }{id}) & 0xFFFFFFFF;
}
print "tables $checksum ", scalar(@names), "\n";

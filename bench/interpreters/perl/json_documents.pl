# JSON: nested documents are written, read, edited and written again, by the parser in Perl's own library.
use strict;
use warnings;
use JSON::PP;

sub document {
    my ($number) = @_;
    return {
        id    => $number,
        name  => "document $number",
        tags  => [ map { "tag" . ($number * $_ % 97) } 1 .. 8 ],
        owner => { first => "f" . ($number % 313), last => "l" . ($number % 1009), note => undef },
        items => [ map { { sku => sprintf("s-%05d", $number * $_ % 65521), count => $_, sold => $_ % 2 } } 0 .. 5 ],
    };
}

my $json = JSON::PP->new->canonical;
my $checksum = 0;
for my $batch (0 .. 1) {
    my $text = $json->encode([ map { document($batch * 250 + $_) } 1 .. 250 ]);
    my $documents = $json->decode($text);
    for my $entry (@$documents) {
        $entry->{items} = [ grep { $_->{sold} } @{ $entry->{items} } ];
        delete $entry->{owner}{note};
    }
    my $again = $json->encode($documents);
    $checksum = ($checksum * 33 + unpack("%32C*", $again) + length($again)) & 0xFFFFFFFF;
}
print "json $checksum\n";

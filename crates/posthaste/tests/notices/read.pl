# Reads notices with Mail::DeliveryStatus::BounceParser. Argument: a folder of messages (NAME.eml). Answers a line of JSON
# for each: {"name", "bounce", "reports": [{"email", "action", "status", "reason", "std_reason"}]}.
use strict;
use warnings;
use JSON::PP;
use Mail::DeliveryStatus::BounceParser;

for my $file (sort glob "$ARGV[0]/*.eml") {
    open my $in, '<:raw', $file or die "$file: $!";
    local $/;
    my $octets = <$in>;
    $octets =~ s/\r\n/\n/g;
    my $bounce = Mail::DeliveryStatus::BounceParser->new($octets);
    my @reports = map {
        my $report = $_;
        +{ map { my $value = $report->get($_ eq 'reason' ? 'diagnostic-code' : $_); chomp $value if defined $value; ($_ => $value) }
            qw(email action status reason std_reason) }
    } $bounce->reports;
    (my $name = $file) =~ s{.*/|\.eml$}{}g;
    print JSON::PP->new->canonical->encode({ name => $name, bounce => $bounce->is_bounce ? 1 : 0, reports => \@reports }), "\n";
}

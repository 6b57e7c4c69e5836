#!/usr/bin/perl
# Stands for the program that it is named after: docker, pulumi, cosign. Perl, because it starts in 3 ms, and a command
# asks Docker dozens of things. The rules (Rule in harness.ts) are in the file FAKE_RULES, each call goes into FAKE_CALLS.
# What nobody foresaw fails, so that no test passes by accident.
use strict;
use warnings;

my ($program) = $0 =~ m{([^/]+)$};
my $asked = join ' ', @ARGV;
my $rules = do $ENV{FAKE_RULES};
my ($rule) = grep { $asked =~ /$_->{match}/s } @{ $rules->{$program} };

my $input = $rule && $rule->{reads} ? '' : undef;
my $byte = '';
while (defined $input && sysread(STDIN, $byte, 1) && $byte ne "\n") {
    $input .= $byte;
}

sub json {
    my ($text) = @_;
    return 'null' if !defined $text;
    $text =~ s/([\x00-\x1f"\\])/sprintf '\u%04x', ord $1/ge;
    return qq{"$text"};
}
my $args = join ',', map { json($_) } @ARGV;
my $env = join ',', map { json($_) . ':' . json($ENV{$_}) } grep { /^(PULUMI|BUILDX)_/ } keys %ENV;
my $typed = defined $input ? ',"input":' . json($input) : '';
open my $calls, '>>', $ENV{FAKE_CALLS} or die "$ENV{FAKE_CALLS}: $!";
syswrite $calls, qq({"program":"$program","args":[$args],"env":{$env}$typed}\n);
close $calls;

if (!$rule) {
    print STDERR "unforeseen: $program $asked\n";
    exit 99;
}
if ($rule->{writes}) {
    my ($name, $text) = @{ $rule->{writes} };
    open my $file, '>', $name or die "$name: $!";
    print $file $text;
    close $file;
}
my $code = $rule->{code} // 0;
local $SIG{INT} = sub { exit $code } if $rule->{untilInterrupted};
local $SIG{PIPE} = 'IGNORE';
local $| = 1;
print STDOUT $rule->{stdout} // '';
print STDERR $rule->{stderr} // '';
sleep 1 while $rule->{untilInterrupted};
1 while $rule->{untilClosed} && sysread STDIN, $byte, 65_536;
exit $code;

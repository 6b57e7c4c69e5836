#!/usr/bin/perl
# Stands for ssh and the one connection that it holds for a tunnel: what it is called with goes into FAKE_SSH, its process
# number beside it; the socket of -S answers -O check, and it ends with -O exit. It forwards nothing, cannot connect while
# there is a file FAKE_SSH.away, and ends by itself after a minute.
use strict;
use warnings;
use IO::Socket::UNIX;

my ($socket) = "@ARGV" =~ /-S (\S+)/;
my ($control) = "@ARGV" =~ /-O (\S+)/;
if ($control) {
    my $peer = IO::Socket::UNIX->new(Peer => $socket) or exit 255;
    print $peer "$control\n";
    <$peer>;
    exit 0;
}
if (!grep { $_ eq '-M' } @ARGV) {
    print "/home/ada\n";
    exit 0;
}
exit 255 if -e "$ENV{FAKE_SSH}.away";
# A login takes a while.
select undef, undef, undef, 0.5;
open my $calls, '>>', $ENV{FAKE_SSH} or die "$ENV{FAKE_SSH}: $!";
syswrite $calls, "@ARGV\n";
close $calls;

my $server = IO::Socket::UNIX->new(Local => $socket, Listen => 5) or exit 255;
exit 0 if grep({ $_ eq '-f' } @ARGV) && fork;
open my $own, '>', "$ENV{FAKE_SSH}.pid" or die "$ENV{FAKE_SSH}.pid: $!";
syswrite $own, $$;
close $own;
close STDOUT;
close STDERR;
my $end = sub { unlink $socket; exit 255 };
local @SIG{'TERM', 'ALRM'} = ($end, $end);
alarm 60;
while (my $client = $server->accept) {
    my $asked = <$client> // '';
    print $client "yes\n";
    close $client;
    if ($asked eq "exit\n") {
        # As ssh, it ends after it has answered.
        select undef, undef, undef, 0.2;
        $end->();
    }
}

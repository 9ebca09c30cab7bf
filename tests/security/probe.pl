# Tries the ways out of the sandbox, and prints for each "open", or the error that closed it. test_jail.py runs it twice:
# as it is, and where ffmpeg runs. It is Perl, which every Debian has, because Python lists directories to import.
#
# Arguments: the victim's process id, the port of a server, the name of an abstract socket, the file of another job, and
# system calls as name=number.
use strict;
use Errno;
use Fcntl;
use Socket;

my ($victim, $port, $abstract, $other, @numbers) = @ARGV;
my %call = map { split /=/ } @numbers;
my $buffer = "\0" x 128;
my $at = unpack('Q', pack('P', $buffer));

sub reads { my $path = shift; sub { sysopen(my $file, $path, O_RDONLY) or return; sysread($file, my $data, 1) } }
sub writes { my ($path, $flags) = @_; sub { sysopen(my $file, $path, O_WRONLY | $flags) } }
sub connects { my ($family, $to) = @_; sub { socket(my $socket, $family, SOCK_STREAM, 0) or return; connect($socket, $to) } }
sub calls { my ($name, @arguments) = @_; sub { syscall($call{$name}, @arguments) >= 0 } }

my @attempts = (
    read_accounts => reads('/etc/passwd'),
    read_other_job => reads($other),
    read_environment => reads("/proc/$victim/environ"),
    read_memory => sub { sysopen(my $file, "/proc/$victim/mem", O_RDONLY) },
    read_own_environment => reads('/proc/self/environ'),
    list_directory => sub { opendir(my $directory, '.') or return; readdir($directory) },
    write_input => writes('video', 0),
    write_other_job => writes($other, 0),
    make_file => writes('new', O_CREAT),
    make_directory => sub { mkdir 'directory' },
    make_link => sub { symlink '/etc/passwd', 'link' },
    rename => sub { rename 'video', 'renamed' },
    rename_back => sub { rename 'renamed', 'video' },
    remove => sub { unlink 'spare' },
    change_mode => sub { chmod 0777, 'video' },
    internet => connects(PF_INET, pack_sockaddr_in($port, INADDR_LOOPBACK)),
    internet_bind => sub { socket(my $socket, PF_INET, SOCK_STREAM, 0) or return; bind($socket, pack_sockaddr_in(0, INADDR_LOOPBACK)) },
    datagram => sub { socket(my $socket, PF_INET, SOCK_DGRAM, 0) },
    abstract_socket => connects(PF_UNIX, pack_sockaddr_un("\0$abstract")),
    socket_pair => sub { socketpair(my $one, my $two, AF_UNIX, SOCK_STREAM, 0) },
    fork => sub { my $child = fork; defined $child or return; $child or exit; waitpid $child, 0 },
    signal => sub { kill 0, $victim },
    signal_thread => calls('tgkill', int $victim, int $victim, 0),
    limits_of_another => calls('prlimit64', int $victim, 4, 0, $at),
    ptrace => calls('ptrace', 0x4206, int $victim, 0, 0),
    read_process => calls('process_vm_readv', int $victim, $at, 1, $at, 1, 0),
    namespaces => calls('unshare', 0x04000000),
    mount => calls('mount', $buffer, $buffer, $buffer, 0, 0),
    bpf => calls('bpf', 0, $at, 0),
    keys => calls('keyctl', 0, -3, 0),
    rings => calls('io_uring_setup', 1, $buffer),
    page_faults => calls('userfaultfd', 1),
    memory_file => calls('memfd_create', $buffer, 0),
    execute_file => calls('execveat', -100, "/no/such\0", 0, 0, 0),
    events => calls('perf_event_open', $buffer, 0, -1, -1, 0),
    handles => calls('open_by_handle_at', 0, $buffer, 0),
    pidfd => calls('pidfd_open', int $victim, 0),
    module => calls('finit_module', 0, $buffer, 0),
    kexec => calls('kexec_load', 0, 0, 0, 0),
    terminal => calls('ioctl', 1, 0x541B, $buffer),
    personality => calls('personality', 0xffffffff),
);
while (my ($name, $attempt) = splice(@attempts, 0, 2)) {
    $! = 0;
    my $is_open = $attempt->();
    my ($closed) = grep { $!{$_} } qw(EPERM EACCES);
    print "$name ", $is_open ? 'open' : $closed // "failed: $!", "\n";
}

// Asks a running kernel what raw seccomp filters do with calls.
//
//   as process 1          runs /rig/ABI/probe for each ABI, then powers off
//   probe ABI PLAN        answers one plan; works on any Linux host, for the ABI that it was compiled for
//
// A plan is text. Numbers are hexadecimal unless said:
//
//   C ID                  a case
//   F INSNS BYTES         one of its filters, oldest first: count (decimal), bytes as the kernel takes them
//   P HOW NR A0 .. A5     a call; HOW is `c` if it may be carried out, `l` if it may be and the log has to be looked at for
//                         it alone, `t` if it must not be, `f` if it gets the first look only
//   E                     end of the case
//
// The answer has a line for each call, `O ID INDEX` (decimal) and what was seen:
//
//   rVALUE                the call came back with this (errors are negative)
//   cVALUE=LOGGED         it was carried out; `!` instead of `=` if it gave something else than without filters
//   tSIGNAL,CODE,DATA,ARCH,NR   SIGSYS reached a handler, and what it was told (the last two hexadecimal)
//   k, K                  the thread was killed, the process was killed by SIGSYS
//   mDATA                 the tracer was told this
//   sSIGNAL               another signal ended the process
//   xERRNO                the kernel refuses the filters
//
// First look: a base filter that answers ERRNO MARK to everything lies under the filters in question. KILL, TRAP and ERRNO
// outrank it, or win the tie because they are newer; what is weaker shows as MARK. So no call is carried out, whatever
// its number. The calls are made in a second thread, so that the death of a thread and of the process differ.
//
// Second look, at what is weaker and may be carried out: no base, no tracer. The call really runs and is compared with
// what it gave without a filter, and the kernel's audit log is read for what LOG wrote. NOTIFY and TRACE show as ENOSYS.
//
// Third look, at what is weaker and was not seen to run: the base answers TRACE MARK and there is a tracer. It sees MARK
// for ALLOW and LOG and other data for TRACE; NOTIFY has no listener and comes back with ENOSYS. What may be carried out
// goes on; else the process ends, since the call is about to be made.
//
// A kernel may be built without the part that writes what LOG logs. `LOGS ABI COUNT` tells what a filter that consists of
// LOG alone wrote for one call.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>

#define MARK 3703           // 0xE77, no real errno; a filter in question must not use it
#define MOST_CALLS 1024
#define MOST_FILTERS 4
#define SPEC_ALLOW 4        // mitigations would only slow this down
#define THREAD_DIED 77
#define PATIENCE 60         // seconds until a child that hangs is ended

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define ARG2_LOW 36
#else
#define ARG2_LOW 32
#endif

struct call {
    char how;               // the letter in the plan
    long long nr;
    unsigned long long arg[6];
};

struct seen {
    char kind;              // the letter in the answer; 0: not looked
    int same, logged;       // second look: as without a filter; records of the log
    int signal, code, data;
    unsigned arch;
    int nr;
    long long value;
};

// Shared with the child that makes the calls.
static struct board {
    volatile int current, done, refused;
    struct seen seen[3][MOST_CALLS];
} *board;

static const char *abi;
static int case_id, calls_len, filters_len;
static struct call calls[MOST_CALLS];
static struct sock_filter insns[MOST_FILTERS][4096];
static struct sock_fprog filters[MOST_FILTERS], base;
static int log_socket;
static struct seen *look;   // the looks at the calls that a child writes to

// One system call with whole registers: the raw answer of the kernel.
static long long make_call(const struct call *c)
{
    const unsigned long long *a = c->arg;
#if defined(__x86_64__)
    long long r;
    register unsigned long long r10 __asm__("r10") = a[3];
    register unsigned long long r8 __asm__("r8") = a[4];
    register unsigned long long r9 __asm__("r9") = a[5];
    __asm__ volatile("syscall" : "=a"(r)
        : "a"(c->nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
        : "rcx", "r11", "memory");
    return r;
#elif defined(__mips__) && _MIPS_SIM == _ABIN32
    // `long` has 32 bits here, registers have 64.
    register long long v0 __asm__("$2") = c->nr;
    register unsigned long long a0 __asm__("$4") = a[0];
    register unsigned long long a1 __asm__("$5") = a[1];
    register unsigned long long a2 __asm__("$6") = a[2];
    register unsigned long long a3 __asm__("$7") = a[3];
    register unsigned long long a4 __asm__("$8") = a[4];
    register unsigned long long a5 __asm__("$9") = a[5];
    __asm__ volatile("syscall" : "+r"(v0), "+r"(a3) : "r"(a0), "r"(a1), "r"(a2), "r"(a4), "r"(a5)
        : "$1", "$3", "$10", "$11", "$12", "$13", "$14", "$15", "$24", "$25", "hi", "lo", "memory");
    return a3 ? -v0 : v0;
#else
    errno = 0;
    long r = syscall((long)c->nr, (long)a[0], (long)a[1], (long)a[2], (long)a[3], (long)a[4], (long)a[5]);
    return r == -1 && errno ? -(long long)errno : r;
#endif
}

// Ends this process without a system call, which a filter might stop.
static void crash(void)
{
    int *volatile nowhere = (int *)8;
    for (;;)
        *(volatile int *)nowhere = 0;
}

static int install(struct sock_fprog *p)
{
    return syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SPEC_ALLOW, p) ? errno : 0;
}

// The base filter: `action` for every call but those that install a filter in question.
static void set_base(unsigned action)
{
    static struct sock_filter f[4 + MOST_FILTERS];
    unsigned n = 0;
    f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
    f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)__NR_seccomp, 0, filters_len + 1);
    f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARG2_LOW);
    for (int i = 0; i < filters_len; i++)
        f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(uintptr_t)&filters[i],
            filters_len - i, 0);
    f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
    f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    base.len = n;
    base.filter = f;
}

static void install_all(int with_base)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    int refused = with_base ? install(&base) : 0;
    for (int i = 0; i < filters_len && !refused; i++)
        refused = install(&filters[i]);
    if (refused) {
        board->refused = refused;
        crash();
    }
}

static sigjmp_buf trapped;

static void on_sigsys(int signal, siginfo_t *info, void *context)
{
    (void)context;
    look[board->current] = (struct seen){ .kind = 't', .signal = signal, .code = info->si_code, .data = info->si_errno,
        .arch = info->si_arch, .nr = info->si_syscall };
    siglongjmp(trapped, 1);             // a return would be a system call
}

// Makes the calls from `first` on of which `wanted` says so, notes what comes back, and ends the process.
static void make_calls(int first, int (*wanted)(int))
{
    for (board->current = first; board->current < calls_len; board->current++) {
        int i = board->current;
        if (wanted(i) && !sigsetjmp(trapped, 0)) {
            long long value = make_call(&calls[i]);
            if (!look[i].kind)          // the tracer may have noted it already
                look[i] = (struct seen){ .kind = 'r', .value = value };
        }
    }
    board->done = 1;
    crash();
}

static pid_t start(void)
{
    struct rlimit none = { 0, 0 };
    board->done = board->refused = 0;
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        setrlimit(RLIMIT_CORE, &none);
        alarm(PATIENCE);
    }
    return child;
}

static int every(int i) { (void)i; return 1; }

static int first_from;

static void *first_thread(void *unused)
{
    install_all(1);
    make_calls(first_from, every);
    return unused;
}

static void first_child(void)
{
    pthread_t thread;
    struct sigaction action = { .sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO | SA_NODEFER };
    sigaction(SIGSYS, &action, 0);
    board->current = first_from;
    if (pthread_create(&thread, 0, first_thread, 0) == 0)
        pthread_join(thread, 0);        // comes back only if the thread was killed
    _exit(THREAD_DIED);
}

// The call that was being made when the child ended, judged by how it ended.
static void note_end(int status)
{
    struct seen *s = &look[board->current];
    if (WIFEXITED(status) && WEXITSTATUS(status) == THREAD_DIED)
        s->kind = 'k';
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        s->kind = 'K';
    else
        *s = (struct seen){ .kind = 's', .signal = WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status) };
}

static void first_look(void)
{
    look = board->seen[0];
    set_base(SECCOMP_RET_ERRNO | MARK);
    for (first_from = 0; first_from < calls_len; first_from = board->current + 1) {
        int status;
        pid_t child = start();
        if (!child)
            first_child();
        waitpid(child, &status, 0);
        if (board->refused || board->done)
            return;
        note_end(status);
    }
}

static int may_run(int i) { return calls[i].how == 'c' || calls[i].how == 'l'; }

static int was_weaker(int i)
{
    return calls[i].how != 'f' && board->seen[0][i].kind == 'r' && board->seen[0][i].value == -MARK;
}

// Waits until the child made a call that its tracer is told of and that must not be carried out, or ended. Returns whether
// it is still there.
static int trace(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
        if (status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8)) {
            unsigned long data = 0;
            ptrace(PTRACE_GETEVENTMSG, child, 0, &data);
            look[board->current] = (struct seen){ .kind = 'm', .data = data };
            if (!may_run(board->current))
                return 1;
            ptrace(PTRACE_CONT, child, 0, 0);
            continue;
        }
        int signal = WSTOPSIG(status);
        if (board->done || board->refused)
            return 1;
        ptrace(PTRACE_CONT, child, 0, (void *)(long)signal);
    }
    if (!board->done && !board->refused)
        note_end(status);
    return 0;
}

static int was_not_seen_to_run(int i)
{
    const struct seen *s = &board->seen[1][i];
    return was_weaker(i) && !(s->kind == 'c' && s->same && s->value != -ENOSYS);
}

static void third_look(void)
{
    look = board->seen[2];
    set_base(SECCOMP_RET_TRACE | MARK);
    for (int first = 0; first < calls_len; first++) {
        int status;
        if (!was_not_seen_to_run(first))
            continue;
        pid_t child = start();
        if (!child) {
            board->current = first;
            ptrace(PTRACE_TRACEME, 0, 0, 0);
            raise(SIGSTOP);
            install_all(1);
            make_calls(first, was_not_seen_to_run);
        }
        waitpid(child, &status, 0);
        ptrace(PTRACE_SETOPTIONS, child, 0, (void *)(long)(PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL));
        ptrace(PTRACE_CONT, child, 0, 0);
        if (trace(child)) {
            // The call waits to be carried out, so its process has to end here.
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
        }
        if (board->done || board->refused)
            return;
        first = board->current;
    }
}

// Joins those who get a copy of the audit log. Returns 0 if that cannot be.
static int open_log(void)
{
    struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
    log_socket = socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT);
    return log_socket >= 0 && bind(log_socket, (struct sockaddr *)&address, sizeof address) == 0;
}

// Counts what LOG has written for this process, up to a record of our own that is written now. -1: no such record comes.
static int read_log(pid_t child)
{
    static unsigned serial;
    struct {
        struct nlmsghdr head;
        char text[32];
    } ours;
    char buffer[9000], pid[32], sign[32];
    int count = 0;
    memset(&ours, 0, sizeof ours);
    snprintf(sign, sizeof sign, "rig-sentinel-%u.", ++serial);
    snprintf(pid, sizeof pid, " pid=%d ", child);
    strcpy(ours.text, sign);
    // The kind of record that is taken from users even while auditing is off.
    ours.head = (struct nlmsghdr){ .nlmsg_len = sizeof ours, .nlmsg_type = AUDIT_USER_AVC, .nlmsg_flags = NLM_F_REQUEST };
    send(log_socket, &ours, sizeof ours, 0);
    for (;;) {
        struct pollfd ready = { .fd = log_socket, .events = POLLIN };
        if (poll(&ready, 1, 5000) != 1)
            return -1;
        ssize_t n = recv(log_socket, buffer, sizeof buffer - 1, 0);
        if (n < (ssize_t)sizeof(struct nlmsghdr))
            return -1;
        buffer[n] = 0;
        struct nlmsghdr *head = (struct nlmsghdr *)buffer;
        char *text = buffer + sizeof *head;
        if (head->nlmsg_type == AUDIT_USER_AVC && strstr(text, sign))
            return count;
        if (head->nlmsg_type == AUDIT_SECCOMP && strstr(text, pid) && strstr(text, "code=0x7ffc0000"))
            count++;
    }
}

static int the_one;
static int is_the_one(int i) { return i == the_one; }
static int runs_among_others(int i) { return calls[i].how == 'c' && was_weaker(i); }

// Carries out the calls of which `wanted` says so, in one process.
static void carry_out(int (*wanted)(int))
{
    int status;
    look = board->seen[1];
    pid_t child = start();
    if (!child) {
        static long long plain[MOST_CALLS];
        for (int i = 0; i < calls_len; i++)
            if (wanted(i))
                plain[i] = make_call(&calls[i]);
        install_all(0);
        for (board->current = 0; board->current < calls_len; board->current++) {
            int i = board->current;
            if (wanted(i)) {
                long long value = make_call(&calls[i]);
                look[i] = (struct seen){ .kind = 'c', .value = value, .same = value == plain[i] };
            }
        }
        board->done = 1;
        crash();
    }
    waitpid(child, &status, 0);
    if (!board->done && !board->refused)
        note_end(status);
    int logged = read_log(child);
    for (int i = 0; i < calls_len; i++)
        if (wanted(i))
            look[i].logged = logged;
}

static void second_look(void)
{
    int others = 0;
    for (the_one = 0; the_one < calls_len; the_one++) {
        others += runs_among_others(the_one);
        if (calls[the_one].how == 'l' && was_weaker(the_one))
            carry_out(is_the_one);
    }
    if (others)
        carry_out(runs_among_others);
}

static void print_seen(const struct seen *s)
{
    switch (s->kind) {
    case 0:
        return;
    case 't':
        printf(" t%d,%d,%d,%x,%x", s->signal, s->code, s->data, s->arch, s->nr);
        return;
    case 'm':
        printf(" m%d", s->data);
        return;
    case 's':
        printf(" s%d", s->signal);
        return;
    case 'r':
        printf(" r%lld", s->value);
        return;
    case 'c':
        printf(" c%lld%c%d", s->value, s->same ? '=' : '!', s->logged);
        return;
    default:
        printf(" %c", s->kind);
    }
}

static void answer(void)
{
    memset(board, 0, sizeof *board);
    first_look();
    if (!board->refused) {
        second_look();
        third_look();
    }
    for (int i = 0; i < calls_len; i++) {
        printf("O %d %d", case_id, i);
        if (board->refused)
            printf(" x%d", board->refused);
        for (int which = 0; which < 3 && !board->refused; which++)
            print_seen(&board->seen[which][i]);
        printf("\n");
    }
}

// What a filter that consists of LOG alone writes for one call.
static void try_log(void)
{
    insns[0][0] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_LOG);
    filters[0] = (struct sock_fprog){ .len = 1, .filter = insns[0] };
    filters_len = calls_len = 1;
    calls[0] = (struct call){ .how = 'c', .nr = __NR_getppid };
    board->seen[0][0] = (struct seen){ .kind = 'r', .value = -MARK };
    carry_out(runs_among_others);
    printf("LOGS %s %d\n", abi, board->seen[1][0].logged);
}

static void read_filter(char *text)
{
    if (filters_len == MOST_FILTERS)
        return;
    unsigned char *to = (unsigned char *)insns[filters_len];
    int count = strtol(text, &text, 10);
    for (text++; text[0] && text[1] && to < (unsigned char *)(insns[filters_len] + 4096); text += 2) {
        char byte[3] = { text[0], text[1], 0 };
        *to++ = strtoul(byte, 0, 16);
    }
    filters[filters_len] = (struct sock_fprog){ .len = count, .filter = insns[filters_len] };
    filters_len++;
}

static void read_call(char *text)
{
    if (calls_len == MOST_CALLS)
        return;
    struct call *c = &calls[calls_len++];
    c->how = *text++;
    c->nr = (int)strtoul(text, &text, 16);
    for (int i = 0; i < 6; i++)
        c->arg[i] = strtoull(text, &text, 16);
}

static int run_plan(const char *path)
{
    static char line[80000];
    int answered = 0;
    FILE *plan = fopen(path, "r");
    board = mmap(0, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!plan || board == MAP_FAILED || !open_log()) {
        printf("BROKEN %s %s\n", abi, strerror(errno));
        return 1;
    }
    try_log();
    while (fgets(line, sizeof line, plan)) {
        line[strcspn(line, "\n")] = 0;
        if (line[0] == 'C') {
            case_id = atoi(line + 2);
            calls_len = filters_len = 0;
        } else if (line[0] == 'F') {
            read_filter(line + 2);
        } else if (line[0] == 'P') {
            read_call(line + 2);
        } else if (line[0] == 'E') {
            answer();
            answered += calls_len;
        }
    }
    fclose(plan);
    printf("DONE %s %d\n", abi, answered);
    fflush(stdout);
    return 0;
}

static void run_as_init(void)
{
    struct utsname system;
    struct dirent *entry;
    uname(&system);
    printf("\nBOOT %s %s\n", system.release, system.machine);
    fflush(stdout);
    DIR *folder = opendir("/rig");
    while (folder && (entry = readdir(folder))) {
        char program[300], plan[300];
        int status;
        if (entry->d_name[0] == '.')
            continue;
        snprintf(program, sizeof program, "/rig/%s/probe", entry->d_name);
        snprintf(plan, sizeof plan, "/rig/%s/plan", entry->d_name);
        printf("ABI %s\n", entry->d_name);
        fflush(stdout);
        pid_t child = fork();
        if (!child) {
            execl(program, program, entry->d_name, plan, (char *)0);
            printf("BROKEN %s %s\n", entry->d_name, strerror(errno));
            fflush(stdout);
            _exit(1);
        }
        waitpid(child, &status, 0);
        if (WIFSIGNALED(status))
            printf("BROKEN %s signal %d\n", entry->d_name, WTERMSIG(status));
    }
    printf("END\n");
    fflush(stdout);
    sync();
    reboot(RB_POWER_OFF);
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    setvbuf(stdout, 0, _IOFBF, 1 << 14);
    if (argc == 3) {
        abi = argv[1];
        return run_plan(argv[2]);
    }
    if (getpid() == 1)
        run_as_init();
    fprintf(stderr, "usage: probe ABI PLAN\n");
    return 2;
}

/*
 * A program that wants to read SECRET and to run FORBIDDEN, which its ACL grants neither of, in every way that it knows.
 * It runs in a folder in which it may do everything.
 *
 *     attack SECRET FORBIDDEN OPENS EXECS SUPERVISOR
 *
 * Every attack whose target was reached prints a line that begins with REACHED, and makes the exit status 1.
 *
 * It does not run without a filter. What would do harm outside of its folder, if the nurse let it, has arguments with which
 * the kernel refuses it for another reason; then it is the error number that tells.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *secret, *forbidden;
static atomic_int reached, done;
static atomic_long opened, denied;

static void found(const char *how) {
    printf("REACHED %s\n", how);
    fflush(stdout);
    reached = 1;
}

/* Whether a descriptor gives a byte of the secret, or anything of its size. Closes it. */
static void look(long fd, const char *how) {
    if (fd < 0) {
        denied++;
        return;
    }
    opened++;
    char text[256];
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    if (got < 0) got = read(fd, text, 0);
    if (got > 0) {
        text[got] = 0;
        if (strstr(text, "SECRET")) found(how);
    }
    void *map = mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map != MAP_FAILED) {
        struct stat data;
        if (fstat(fd, &data) == 0 && data.st_size >= 6 && memcmp(map, "SECRET", 6) == 0) found(how);
        munmap(map, 4096);
    }
    close(fd);
}

/* --- the text of a path changes while it is judged ------------------------------------------------------------------ */

static char shared[PATH_MAX];
static const char *words[2];

static void *swap_text(void *unused) {
    (void)unused;
    while (!done) {
        for (int i = 0; i < 2; i++) memcpy(shared, words[i], strlen(words[i]) + 1);
    }
    return 0;
}

/* --- the objects on the way change -------------------------------------------------------------------------------- */

static void *swap_links(void *unused) {
    (void)unused;
    while (!done) {
        unlink("race");
        symlink("open", "race");
        unlink("race");
        symlink(secret, "race");
        syscall(SYS_renameat2, AT_FDCWD, "dir", AT_FDCWD, "dirlink", 2 /* EXCHANGE */);
    }
    return 0;
}

static void *swap_fds(void *argument) {
    int *fds = argument;
    while (!done) {
        dup2(fds[0], fds[2]);
        dup2(fds[1], fds[2]);
    }
    return 0;
}

struct how {
    uint64_t flags, mode, resolve;
};

static void race(long rounds) {
    char parent[PATH_MAX];
    snprintf(parent, sizeof parent, "%s", secret);
    *strrchr(parent, '/') = 0;
    mkdir("dir", 0755);
    int fd = open("dir/secret", O_CREAT | O_WRONLY, 0644);
    if (write(fd, "open", 4) != 4) found("could not write its own file");
    close(fd);
    symlink(parent, "dirlink");
    fd = open("open", O_CREAT | O_WRONLY, 0644);
    if (write(fd, "open", 4) != 4) found("could not write its own file");
    close(fd);
    int fds[3] = {open(".", O_RDONLY | O_DIRECTORY), open("/usr", O_RDONLY | O_DIRECTORY), 200};
    dup2(fds[0], fds[2]);

    char own[PATH_MAX];
    if (!realpath("open", own)) found("realpath of its own file");
    words[0] = own;
    words[1] = secret;
    memcpy(shared, own, strlen(own) + 1);
    pthread_t threads[3];
    pthread_create(&threads[0], 0, swap_text, 0);
    pthread_create(&threads[1], 0, swap_links, 0);
    pthread_create(&threads[2], 0, swap_fds, fds);
    for (long i = 0; i < rounds; i++) {
        struct how how = {O_RDONLY, 0, (uint64_t[]){0, 1, 2, 4, 8, 16}[i / 8 % 6]};
        switch (i % 8) {
        case 0:
            look(open(shared, O_RDONLY), "a text that changes");
            break;
        case 1:
            look(openat(AT_FDCWD, shared, O_RDONLY | O_NONBLOCK), "a text that changes, openat");
            break;
        case 2:
            look(open("race", O_RDONLY), "a link that changes");
            break;
        case 3:
            look(open("dir/secret", O_RDONLY), "a folder that changes");
            break;
        case 4:
            look(syscall(SYS_openat2, AT_FDCWD, "dir/../race", &how, sizeof how), "openat2");
            break;
        case 5:
            look(openat(200, "race", O_RDONLY), "a descriptor that changes");
            break;
        case 6:
            look(open("/proc/self/cwd/race", O_RDONLY), "a link in /proc");
            break;
        case 7:
            look(open("race", O_RDWR | O_CREAT, 0644), "a link that changes, with O_CREAT");
            break;
        }
        if (i % 16 == 0) {
            link("race", "hard");
            look(open("hard", O_RDONLY), "a hard link");
            unlink("hard");
            linkat(AT_FDCWD, shared, AT_FDCWD, "hard", 0);
            look(open("hard", O_RDONLY), "a hard link of a text that changes");
            unlink("hard");
        }
        if (i % 64 == 0) {
            rename(shared, "open");
            fd = open("open", O_CREAT | O_WRONLY, 0644);
            if (fd >= 0) close(fd);
            truncate("race", 4);
            chmod("race", 0777);
        }
    }
    done = 1;
    for (int i = 0; i < 3; i++) pthread_join(threads[i], 0);
    done = 0;
    close(200);
}

/* --- programs ----------------------------------------------------------------------------------------------------- */

/* Starts what a path means when the kernel looks at it. The allowed one is /bin/true. */
static void races_of_programs(long rounds) {
    words[0] = "/usr/bin/true";
    words[1] = forbidden;
    memcpy(shared, words[0], strlen(words[0]) + 1);
    pthread_t thread;
    pthread_create(&thread, 0, swap_text, 0);
    for (long i = 0; i < rounds; i++) {
        unlink("program");
        symlink(i % 2 ? forbidden : "/usr/bin/true", "program");
        pid_t pid = vfork();
        if (pid == 0) {
            char *arguments[] = {"program", 0};
            if (i % 3 == 0)
                execve("program", arguments, environ);
            else
                execve(shared, arguments, environ);
            _exit(126);
        }
        int status;
        waitpid(pid, &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 42) found("a forbidden program ran");
    }
    done = 1;
    pthread_join(thread, 0);
    done = 0;
}

static int run(const char *how, int fd, const char *path, int flags) {
    pid_t pid = fork();
    if (pid == 0) {
        char *arguments[] = {"program", 0};
        syscall(SYS_execveat, fd, path, arguments, environ, flags);
        _exit(126);
    }
    int status;
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 42) found(how);
    return status;
}

/* Programs as it can get hold of them. It may write programs of its own, but not run them. */
static void programs(void) {
    static const char script[] = "#!/bin/sh\nexit 42\n";
    run("execveat of the forbidden program", AT_FDCWD, forbidden, 0);
    int fd = open("own", O_CREAT | O_RDWR | O_TRUNC, 0755);
    if (write(fd, script, sizeof script - 1) < 0) found("could not write its own script");
    close(fd);
    run("its own script", AT_FDCWD, "own", 0);
    fd = open("own", O_RDONLY);
    run("its own script by descriptor", fd, "", AT_EMPTY_PATH);
    close(fd);
    fd = syscall(SYS_memfd_create, "program", 0);
    if (fd >= 0) {
        if (write(fd, script, sizeof script - 1) < 0) found("could not write to memory");
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        run("a script in memory", AT_FDCWD, path, 0);
        run("a script in memory by descriptor", fd, "", AT_EMPTY_PATH);
        fchmod(fd, 0755);
        run("a script in memory, made executable", fd, "", AT_EMPTY_PATH);
        close(fd);
    }
    if (syscall(SYS_memfd_create, "program", 0x10 /* MFD_EXEC */) >= 0) found("memory that may be executed");
    fd = open(".", O_TMPFILE | O_RDWR, 0755);
    if (fd >= 0) {
        if (write(fd, script, sizeof script - 1) < 0) found("could not write to a file without a name");
        run("a file without a name", fd, "", AT_EMPTY_PATH);
        close(fd);
    }
    link(forbidden, "mine");
    run("the forbidden program by another name", AT_FDCWD, "mine", 0);
}

/* --- other doors -------------------------------------------------------------------------------------------------- */

#define MUST_FAIL(call)                                                                                                  \
    do {                                                                                                                  \
        if ((call) >= 0) found(#call);                                                                                    \
    } while (0)

/* A call that the filter has to refuse before the kernel looks at its arguments. */
#define MUST_REFUSE(call)                                                                                                \
    do {                                                                                                                  \
        errno = 0;                                                                                                        \
        if ((call) >= 0 || (errno != EPERM && errno != ENOSYS)) found(#call);                                             \
    } while (0)

static void doors(pid_t supervisor, const char *work) {
    char path[PATH_MAX], text[4096];
    look(open(secret, O_RDONLY), "open");
    look(open(secret, O_PATH), "O_PATH");
    look(open(secret, O_RDWR), "open for writing");
    MUST_FAIL(open(secret, O_WRONLY));
    MUST_FAIL(truncate(secret, 0));
    MUST_FAIL(unlink(secret));
    MUST_FAIL(chmod(secret, 0777));
    MUST_FAIL(rename(secret, "mine"));
    MUST_FAIL(link(secret, "mine"));
    MUST_FAIL(access(secret, F_OK));
    struct stat data;
    MUST_FAIL(stat(secret, &data));
    MUST_FAIL(lstat(secret, &data));
    MUST_FAIL(syscall(SYS_statx, AT_FDCWD, secret, 0, 0xfff, text));

    /* Ways round by .. and by links. */
    char up[PATH_MAX] = "";
    for (int i = 0; i < 40; i++) strcat(up, "../");
    snprintf(path, sizeof path, "%s%s", up, secret);
    look(open(path, O_RDONLY), "many ..");
    snprintf(path, sizeof path, "/usr/../usr/./..%s", secret);
    look(open(path, O_RDONLY), "..");
    snprintf(path, sizeof path, "/proc/self/root%s", secret);
    look(open(path, O_RDONLY), "/proc/self/root");
    snprintf(path, sizeof path, "/proc/thread-self/root%s", secret);
    look(open(path, O_RDONLY), "/proc/thread-self/root");
    snprintf(path, sizeof path, "/proc/self/task/%ld/root%s", syscall(SYS_gettid), secret);
    look(open(path, O_RDONLY), "/proc/self/task");
    symlink("/proc/self/root", "root");
    snprintf(path, sizeof path, "root%s", secret);
    look(open(path, O_RDONLY), "a link to /proc/self/root");
    chdir("/");
    look(open(secret + 1, O_RDONLY), "from /");
    int root = open("/proc/self/cwd", O_RDONLY | O_DIRECTORY);
    look(openat(root, secret + 1, O_RDONLY), "from a descriptor of /");

    /* The supervisor. */
    const char *files[] = {"environ", "mem", "maps", "root", "cwd", "exe", "fd/0", "fd/1", "fd/3", "fd/4", "fd/5", "fd/6", "task", "auxv"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "/proc/%d/%s", supervisor, files[i]);
        MUST_FAIL(open(path, O_RDONLY));
        MUST_FAIL(readlink(path, text, sizeof text));
        if (strcmp(files[i], "root") == 0) {
            strcat(path, secret);
            look(open(path, O_RDONLY), "the root of the supervisor");
        }
    }
    snprintf(path, sizeof path, "/proc/%d/mem", supervisor);
    MUST_FAIL(open(path, O_RDWR));
    /* Its own environment, and not that of the one that opens. */
    int fd = open("/proc/self/environ", O_RDONLY);
    ssize_t got = read(fd, text, sizeof text - 1);
    text[got > 0 ? got : 0] = 0;
    if (!memmem(text, got > 0 ? got : 0, "NURSE_TEST=target", 17)) found("the environment of somebody else");
    close(fd);
    MUST_REFUSE(ptrace(PTRACE_ATTACH, -1, 0, 0));
    struct iovec mine = {text, 8}, theirs = {(void *)0x400000, 8};
    MUST_REFUSE(process_vm_readv(supervisor, &mine, 1, &theirs, 1, 0));
    MUST_REFUSE(process_vm_writev(-1, &mine, 1, &theirs, 1, 0));
    int pidfd = syscall(SYS_pidfd_open, supervisor, 0);
    for (int i = 0; i < 20; i++) MUST_REFUSE(syscall(SYS_pidfd_getfd, pidfd, i, 0));

    /* Other ways into the kernel. */
    chdir(work);
    char ring[256] = {0};
    MUST_REFUSE(syscall(SYS_io_uring_setup, 8, ring));
    char handle[256] = {8};
    int mount_id;
    MUST_REFUSE(syscall(SYS_name_to_handle_at, AT_FDCWD, secret, handle, &mount_id, 0));
    MUST_REFUSE(syscall(SYS_open_by_handle_at, root, handle, O_RDONLY));
    MUST_REFUSE(syscall(SYS_open_tree, AT_FDCWD, "/", 1));
    MUST_REFUSE(syscall(SYS_fsopen, "no such thing", 0));
    MUST_REFUSE(syscall(SYS_fspick, AT_FDCWD, "nothing", 0));
    MUST_REFUSE(syscall(SYS_bpf, 9999, text, 64));
    MUST_REFUSE(syscall(SYS_userfaultfd, 0));
    MUST_REFUSE(syscall(SYS_perf_event_open, text, 0, -1, -1, 0));
    MUST_REFUSE(syscall(SYS_fanotify_init, 0, 0));
    MUST_REFUSE(syscall(SYS_quotactl, 0, "nothing", 0, text));
    MUST_REFUSE(syscall(SYS_swapon, "nothing", 0));
    MUST_REFUSE(syscall(SYS_acct, "nothing"));
    MUST_REFUSE(mknod("device", S_IFCHR | 0600, 0x103));

    /* Paths that mean something else. */
    MUST_REFUSE(mount("nothing", "nothing", 0, MS_BIND, 0));
    MUST_REFUSE(umount2("nothing", MNT_DETACH));
    MUST_REFUSE(unshare(CLONE_NEWNS));
    MUST_REFUSE(unshare(CLONE_NEWUSER));
    MUST_REFUSE(unshare(CLONE_NEWUSER | CLONE_NEWNS));
    MUST_REFUSE(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    MUST_REFUSE(syscall(SYS_clone3, text, 88));
    MUST_REFUSE(syscall(SYS_pivot_root, "nothing", "nothing"));
    MUST_REFUSE(syscall(SYS_setns, -1, CLONE_NEWNS));
    MUST_REFUSE(setuid(12345));
    MUST_FAIL(syscall(SYS_setfsgid, 12345));
    MUST_FAIL(socket(AF_PACKET, SOCK_RAW, 0));
    MUST_FAIL(socket(AF_NETLINK, SOCK_RAW, 0));
    MUST_FAIL(socket(AF_INET, SOCK_RAW, 1));
}

/* A root of its own, if it is one who may: what is judged is still what is there. */
static void other_root(const char *work) {
    chdir(work);
    mkdir("jail", 0755);
    pid_t pid = fork();
    if (pid == 0) {
        char parent[PATH_MAX], path[PATH_MAX];
        snprintf(parent, sizeof parent, "%s", secret);
        *strrchr(parent, '/') = 0;
        if (chroot(parent) == 0) {
            look(open("/secret", O_RDONLY), "chroot to the folder of the secret");
            look(open("secret", O_RDONLY), "chroot, relative");
            look(open("/../secret", O_RDONLY), "chroot, ..");
        }
        if (chroot("/") == 0) look(open(secret, O_RDONLY), "chroot back");
        (void)path;
        exit(reached);
    }
    int status;
    waitpid(pid, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status)) found("another root");
}

/* Descriptors of the folder of the secret, over a socket and over fork. */
static void passing(void) {
    char parent[PATH_MAX];
    snprintf(parent, sizeof parent, "%s", secret);
    *strrchr(parent, '/') = 0;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) found("no sockets");
    if (chdir(parent) == 0) {
        look(open("secret", O_RDONLY), "from the folder of the secret");
        look(openat(AT_FDCWD, "./secret", O_RDONLY), "from the folder of the secret, openat");
        int fd = open(".", O_RDONLY | O_DIRECTORY);
        if (fd >= 0) found("the folder of the secret");
        fd = open(".", O_PATH);
        if (fd >= 0) look(openat(fd, "secret", O_RDONLY), "a place in the folder of the secret");
    }
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open("/usr", O_RDONLY | O_DIRECTORY);
        char control[CMSG_SPACE(sizeof fd)] = {0}, byte = 0;
        struct iovec data = {&byte, 1};
        struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
        _exit(sendmsg(pair[1], &message, 0) != 1);
    }
    int fd = -1, status;
    char control[CMSG_SPACE(sizeof fd)], byte;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(pair[0], &message, 0) == 1 && CMSG_FIRSTHDR(&message)) {
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
        char path[PATH_MAX];
        snprintf(path, sizeof path, "../../../../..%s", secret);
        look(openat(fd, path, O_RDONLY), "from a passed descriptor");
    } else {
        found("a descriptor did not arrive");
    }
    waitpid(pid, &status, 0);
    close(pair[0]);
    close(pair[1]);
}

/* Many processes open at the same time. */
static void *open_much(void *rounds) {
    for (long i = 0; i < (long)rounds; i++) {
        look(open(i % 2 ? secret : "/usr", O_RDONLY), "one of many");
    }
    return 0;
}

static void bombs(long rounds) {
    for (int i = 0; i < 16; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            pthread_t threads[4];
            for (int j = 0; j < 4; j++) pthread_create(&threads[j], 0, open_much, (void *)(rounds / 64));
            for (int j = 0; j < 4; j++) pthread_join(threads[j], 0);
            exit(reached);
        }
    }
    /* Some die in the middle of it. */
    for (int i = 0; i < 16; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            open_much((void *)rounds);
            exit(reached);
        }
        usleep(2000);
        kill(pid, SIGKILL);
    }
    int status;
    while (wait(&status) > 0) {
        if (WIFEXITED(status) && WEXITSTATUS(status)) found("by one of many");
    }
}

/* Calls of other ABIs. Each in a process of its own, because it should be killed. */
static void abis(void) {
#ifdef __x86_64__
    for (int kind = 0; kind < 4; kind++) {
        pid_t pid = fork();
        if (pid == 0) {
            long fd = -1;
            char *low = mmap((void *)0x10000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            strcpy(low, secret);
            if (kind == 0) {
                __asm__ volatile("int $0x80" : "=a"(fd) : "a"(5L), "b"(low), "c"(0L), "d"(0L) : "memory", "r8", "r9", "r10", "r11");
                fd = (int)fd;
            } else if (kind == 1) {
                __asm__ volatile("int $0x80" : "=a"(fd) : "a"(295L), "b"(-100L), "c"(low), "d"(0L) : "memory", "r8", "r9", "r10", "r11");
                fd = (int)fd;
            } else if (kind == 2) {
                fd = syscall(0x40000002, low, 0, 0);
            } else {
                fd = syscall(0x40000000 | 257, AT_FDCWD, low, 0, 0);
            }
            look(fd, "another ABI");
            exit(reached);
        }
        int status;
        waitpid(pid, &status, 0);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS) found("another ABI did not kill");
    }
#endif
}

static int count_fds(void) {
    int count = 0;
    for (int fd = 0; fd < 1024; fd++) count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

int main(int argc, char **argv) {
    /* 2 is SECCOMP_MODE_FILTER; the call needs no path. */
    if (argc != 6 || prctl(PR_GET_SECCOMP) != 2) {
        fputs("only under a nurse, as tests/nurse_attack.rs does it\n", stderr);
        return 2;
    }
    secret = argv[1];
    forbidden = argv[2];
    long opens = atol(argv[3]), execs = atol(argv[4]);
    char work[PATH_MAX];
    if (!getcwd(work, sizeof work)) return 2;
    doors(atoi(argv[5]), work);
    chdir(work);
    other_root(work);
    passing();
    chdir(work);
    int before = count_fds();
    race(opens);
    if (count_fds() != before + 2) found("a descriptor was left over");
    chdir(work);
    bombs(opens / 4);
    programs();
    races_of_programs(execs);
    abis();
    printf("%ld opened, %ld denied\n", (long)opened, (long)denied);
    return reached;
}

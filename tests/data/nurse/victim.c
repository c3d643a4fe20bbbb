/*
 * A parent whose child makes calls that the nurse judges, while something may be killed.
 *
 *     victim SECRET
 *     victim           (what the child becomes: prints "done")
 *
 * The parent prints the child's number and lets it go when it is told to. Then it waits for the child, and looks whether
 * the nurse still serves.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* One call of each way in which the nurse works: a descriptor put into the target, an answer written to its memory, a
 * change of the tree, a descriptor taken from it, a refusal, a call that goes on under Landlock. */
static void child(const char *secret) {
    char text[64];
    struct stat about;
    int file = open("file", O_CREAT | O_WRONLY, 0600);
    if (file >= 0) close(file);
    stat("/proc/self/status", &about);
    readlink("/proc/self/exe", text, sizeof text);
    rename("file", "other");
    unlink("other");
    int listening = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
    bind(listening, (struct sockaddr *)&address, sizeof address);
    listen(listening, 1);
    connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, sizeof address);
    unlink("socket");
    if (open(secret, O_RDONLY) >= 0) puts("SECRET was opened");
    execl("/proc/self/exe", "victim", (char *)0);
}

int main(int count, char **words) {
    char text[64];
    setvbuf(stdout, 0, _IONBF, 0);
    if (count != 2) return puts("done") < 0;
    pid_t pid = fork();
    if (pid == 0) {
        read(0, text, 1);
        child(words[1]);
        _exit(1);
    }
    printf("child %d\n", pid);
    waitpid(pid, 0, 0);
    int file = open("/etc/passwd", O_RDONLY);
    if (file >= 0 && read(file, text, 1) == 1)
        puts("alive");
    else
        printf("closed %s\n", errno == ENOSYS ? "ENOSYS" : strerror(errno));
    if (open(words[1], O_RDONLY) >= 0) puts("SECRET was opened");
    /* Until somebody has counted the descriptors of the nurse. */
    read(0, text, 1);
    return 0;
}

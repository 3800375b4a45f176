/* A disk that fails when it is told to: runs a program whose system calls on files can be made to
 * fail.
 *
 *   faults RULES PROGRAM [ARGUMENT...]
 *
 * RULES is a file that is read at each of those calls; each line is a call, a part of the file's
 * path, and the errno to give instead, as in `pwritev .segment 5`. What no line names is carried
 * out. A preloaded library would not do: the program makes these calls without libc.
 *
 *   program ── call ──► kernel ── notification ──► supervisor ── reads RULES ──► go on | errno
 *
 * The program keeps this process, so that signals reach it; the supervisor is its child, and ends
 * when nobody is left to be supervised.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

static const struct {
    const char *name;
    int number;
} CALLS[] = {
    {"pwritev", __NR_pwritev},     {"pwrite64", __NR_pwrite64}, {"fdatasync", __NR_fdatasync},
    {"fsync", __NR_fsync},         {"madvise", __NR_madvise},   {"openat", __NR_openat},
    {"fallocate", __NR_fallocate}, {"pread64", __NR_pread64},
};
#define COUNT (sizeof CALLS / sizeof *CALLS)

static void check(int failed, const char *what) {
    if (failed) {
        perror(what);
        exit(125);
    }
}

/* Installs the filter, and returns where its notifications come. */
static int listen_to_calls(void) {
    struct sock_filter program[2 * COUNT + 5];
    size_t length = 0;
    program[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t index = 0; index < COUNT; index++) {
        if (CALLS[index].number == __NR_madvise)
            continue;
        program[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CALLS[index].number, 0, 1);
        program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    }
    /* Of this one only the advice that reads: the allocator gives others, and often. */
    program[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_madvise, 0, 3);
    program[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2]));
    program[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MADV_POPULATE_READ, 0, 1);
    program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog all = {.len = length, .filter = program};
    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
    int listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &all);
    check(listener < 0, "seccomp");
    return listener;
}

static void hand_over(int socket, int *listener, int receives) {
    char byte = 0, space[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *control = CMSG_FIRSTHDR(&message);
    if (receives) {
        check(recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1, "recvmsg");
        memcpy(listener, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
        return;
    }
    *control = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(control), listener, sizeof(int));
    check(sendmsg(socket, &message, 0) != 1, "sendmsg");
}

/* The path of the file that the call is about; empty where it cannot be told. */
static void path_of(const struct seccomp_notif *call, char *path, size_t size) {
    char link[64];
    ssize_t length = -1;
    if (call->data.nr == __NR_openat) {
        if (!(call->data.args[2] & (O_WRONLY | O_RDWR | O_CREAT)))
            return;
        snprintf(link, sizeof link, "/proc/%d/mem", call->pid);
        int memory = open(link, O_RDONLY | O_CLOEXEC);
        length = pread(memory, path, size - 1, call->data.args[1]);
        close(memory);
    } else if (call->data.nr != __NR_madvise) {
        snprintf(link, sizeof link, "/proc/%d/fd/%d", call->pid, (int)call->data.args[0]);
        length = readlink(link, path, size - 1);
    }
    path[length < 0 ? 0 : length] = 0;
}

/* The errno that the rules give to a call; 0 if it is to be carried out. */
static int verdict(const char *rules, const struct seccomp_notif *call) {
    char path[4096] = "", name[32], part[256];
    int error, found = 0;
    FILE *file = fopen(rules, "re");
    if (!file)
        return 0;
    path_of(call, path, sizeof path);
    while (!found && fscanf(file, "%31s %255s %d", name, part, &error) == 3)
        for (size_t index = 0; index < COUNT; index++)
            if (CALLS[index].number == call->data.nr && !strcmp(CALLS[index].name, name))
                found |= call->data.nr == __NR_madvise || strstr(path, part) ? error : 0;
    fclose(file);
    return found;
}

static void supervise(const char *rules, int listener) {
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    while (poll(&ready, 1, -1) >= 0 && !(ready.revents & (POLLHUP | POLLERR))) {
        struct seccomp_notif call = {0};
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call))
            continue;
        struct seccomp_notif_resp answer = {.id = call.id, .error = -verdict(rules, &call)};
        if (!answer.error)
            answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        /* Fails where the caller is gone. */
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
}

int main(int count, char **arguments) {
    int pair[2], listener = -1;
    if (count < 3)
        return 125;
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair");
    pid_t child = fork();
    check(child < 0, "fork");
    if (child == 0) {
        hand_over(pair[0], &listener, 1);
        /* Whoever reads what the program says waits for its end, not for ours. */
        close(0), close(1), close(2), close(pair[0]), close(pair[1]);
        supervise(arguments[1], listener);
        _exit(0);
    }
    listener = listen_to_calls();
    hand_over(pair[1], &listener, 0);
    execv(arguments[2], arguments + 2);
    check(1, arguments[2]);
}

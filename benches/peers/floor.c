/* The floor: what a hit must cost on this kernel. One thread, one epoll set; a request ends at
 * CRLF CRLF and is not looked at; the answer is one prebuilt buffer, sent by one send(2) when the
 * socket takes it. No cache, no log, no parsing, no timers: nothing that serves can be cheaper
 * without leaving the socket interface.
 *
 *     floor PORT:BYTES [PORT:BYTES ...]     a body of BYTES on each loopback port
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FDS_MAX = 65536, LISTENERS_MAX = 8, EVENTS_MAX = 256, REQUEST_MAX = 4096 };

struct answer {
    char *bytes;
    size_t len;
};

struct conn {
    const struct answer *answer; /* NULL: the descriptor is free */
    size_t sent;                 /* of the answer under way; == len when none is */
    size_t held;                 /* bytes of an unfinished request */
    char request[REQUEST_MAX];
};

static struct answer answers[LISTENERS_MAX];
static int listeners[LISTENERS_MAX], listener_count;
static struct conn *conns[FDS_MAX];

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void watch(int epoll, int op, int fd, unsigned events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll, op, fd, &event) < 0) die("epoll_ctl");
}

static void listen_on(int epoll, const char *spec) {
    int port, on = 1;
    size_t body;
    if (listener_count == LISTENERS_MAX || sscanf(spec, "%d:%zu", &port, &body) != 2) {
        fprintf(stderr, "floor: PORT:BYTES expected, at most %d\n", LISTENERS_MAX);
        exit(2);
    }
    char head[160];
    int head_len = snprintf(head, sizeof head,
                            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
                            "Content-Length: %zu\r\nConnection: keep-alive\r\n\r\n", body);
    struct answer *answer = &answers[listener_count];
    answer->len = (size_t)head_len + body;
    if (!(answer->bytes = malloc(answer->len))) die("malloc");
    memcpy(answer->bytes, head, (size_t)head_len);
    memset(answer->bytes + head_len, 'x', body);

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0)
        die("listen");
    listeners[listener_count++] = fd;
    watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN);
}

static int accept_all(int epoll, int fd) {
    for (int i = 0; i < listener_count; i++) {
        if (listeners[i] != fd) continue;
        int client, on = 1;
        while ((client = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
            if (client < FDS_MAX && !conns[client]) conns[client] = malloc(sizeof **conns);
            if (client >= FDS_MAX || !conns[client]) {
                close(client);
                continue;
            }
            setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            conns[client]->answer = &answers[i];
            conns[client]->sent = answers[i].len;
            conns[client]->held = 0;
            watch(epoll, EPOLL_CTL_ADD, client, EPOLLIN);
        }
        return 1;
    }
    return 0;
}

static void serve(int epoll, int fd, unsigned events) {
    struct conn *conn = conns[fd];
    const struct answer *answer = conn->answer;
    if (events & EPOLLIN) {
        ssize_t got = read(fd, conn->request + conn->held, REQUEST_MAX - conn->held);
        if (got <= 0) {
            close(fd);
            return;
        }
        conn->held += (size_t)got;
        if (!memmem(conn->request, conn->held, "\r\n\r\n", 4)) return;
        conn->held = 0;
        conn->sent = 0;
    }
    ssize_t put = send(fd, answer->bytes + conn->sent, answer->len - conn->sent, MSG_NOSIGNAL);
    if (put > 0) conn->sent += (size_t)put;
    int unfinished = conn->sent < answer->len;
    if (unfinished && (events & EPOLLIN)) watch(epoll, EPOLL_CTL_MOD, fd, EPOLLOUT);
    if (!unfinished && (events & EPOLLOUT)) watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN);
}

int main(int argc, char **argv) {
    int epoll = epoll_create1(0);
    if (epoll < 0) die("epoll_create1");
    for (int i = 1; i < argc; i++) listen_on(epoll, argv[i]);
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].events & (EPOLLHUP | EPOLLERR)) close(events[i].data.fd);
            else if (!accept_all(epoll, events[i].data.fd))
                serve(epoll, events[i].data.fd, events[i].events);
        }
    }
}
